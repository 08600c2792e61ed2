"""Consistency: an image and its shifted, turned or scaled copy have the same answer."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior, sampled_kl
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.vae import VAE


def affine(
    x: Float[Tensor, "B C H W"],
    angle: Float[Tensor, " B"],
    scale: Float[Tensor, " B"],
    shift: Float[Tensor, "B 2"],
) -> Float[Tensor, "B C H W"]:
    """Turn each image counter-clockwise by `angle` (radians), scale it by `scale`, and move it right and down.

    `shift` is a share of the sides. Pixels between others are interpolated, those from outside are the nearest inside.
    """
    cos, sin, aspect = angle.cos() / scale, angle.sin() / scale, x.shape[-2] / x.shape[-1]
    turn = torch.stack([torch.stack([cos, -aspect * sin], -1), torch.stack([sin / aspect, cos], -1)], -2)
    move = -2.0 * (turn @ shift.unsqueeze(-1))
    grid = nn.functional.affine_grid(torch.cat([turn, move], -1), list(x.shape), align_corners=False)
    edge = 1.0 - 1.0 / torch.tensor([x.shape[-1], x.shape[-2]], device=x.device, dtype=x.dtype)
    return nn.functional.grid_sample(x, torch.clamp(grid, -edge, edge), align_corners=False)


@REGULARISERS.register("consistency")
class ConsistencyConfig(RegulariserConfig):
    """Consistency: answers about an image and a shifted, turned, scaled copy are drawn together (Sinha & Dieng 2021).

    Review, eq. 24: the copy x~ adds its ELBO, less consistency * KL(q(z|x~) || q(z|x)), one sample of each. The amounts
    of the changes are uniform between minus and plus what is set. The copy's ELBO has no KL warm-up.
    """

    kind: ClassVar[str] = "consistency"
    method: ClassVar[str] = "cr-vae"
    consistency: float = Field(default=0.1, ge=0, description="weight of the KL between copy and image, lambda")
    shift: float = Field(default=0.05, ge=0, lt=1, description="largest shift of the copy, as a share of the side")
    rotation: float = Field(default=10.0, ge=0, le=180, description="largest rotation of the copy, in degrees")
    scaling: float = Field(default=0.1, ge=0, lt=1, description="largest relative change of the copy's size")

    def copies(self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None) -> Float[Tensor, "B C H W"]:
        """Draw x~ ~ t(x~|x)."""
        amounts = 2.0 * torch.rand((4, len(x)), generator=generator, device=x.device, dtype=x.dtype) - 1.0
        return affine(
            x,
            math.radians(self.rotation) * amounts[0],
            1.0 + self.scaling * amounts[1],
            self.shift * amounts[2:].T,
        )

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        copy = self.copies(x, generator)
        with frozen_statistics(vae.encoder):
            copy_q = vae.infer(copy, generator)
        z, log_q = copy_q.rsample_and_log_prob(1, generator)
        elbo = vae.log_likelihood(copy, z).mean(0) - vae.kl(copy, copy_q, generator, (z, log_q))
        return self.consistency * sampled_kl((z, log_q), q) - elbo
