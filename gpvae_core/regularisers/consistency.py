"""Consistency regularisation: an image and its shifted, rotated or scaled copy have similar posteriors."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior, Samples
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.part import MOST
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.vae import VAE


def affine(
    x: Float[Tensor, "B C H W"],
    angle: Float[Tensor, " B"],
    scale: Float[Tensor, " B"],
    shift: Float[Tensor, "B 2"],
) -> Float[Tensor, "B C H W"]:
    """Rotate each image counter-clockwise by `angle` (radians), scale it by `scale`, and shift it right and down.

    `shift` is a fraction of the sides. Pixels are interpolated bilinearly; outside the image the nearest pixel is used.
    """
    # affine_grid takes the inverse map, from the copy to the image, in coordinates from -1 to 1 along each side: hence
    # the division by the scale, the aspect ratio of sides of different length, and the factor -2 of the shift.
    cos, sin, aspect = angle.cos() / scale, angle.sin() / scale, x.shape[-2] / x.shape[-1]
    rotation = torch.stack([torch.stack([cos, -aspect * sin], -1), torch.stack([sin / aspect, cos], -1)], -2)
    translation = -2.0 * (rotation @ shift.unsqueeze(-1))
    grid = nn.functional.affine_grid(torch.cat([rotation, translation], -1), list(x.shape), align_corners=False)
    # The centres of the outermost pixels, to which positions outside are clamped.
    edge = 1.0 - 1.0 / torch.tensor([x.shape[-1], x.shape[-2]], device=x.device, dtype=x.dtype)
    return nn.functional.grid_sample(x, torch.clamp(grid, -edge, edge), align_corners=False)


@REGULARISERS.register("consistency")
class ConsistencyConfig(RegulariserConfig):
    """Consistency: the posterior of a shifted, rotated, scaled copy is drawn to that of the image (Sinha & Dieng 2021).

    The copy x~ adds its ELBO minus consistency * KL(q(z|x~) || q(z|x)) (Ganguly et al. 2023, eq. 24), in closed form
    between Gaussians, by the sample of the copy's ELBO otherwise.
    Shifts, rotations and scalings are uniform between minus and plus the largest. The copy's ELBO has no KL warm-up.
    """

    kind: ClassVar[str] = "consistency"
    method: ClassVar[str] = "cr-vae"
    consistency: float = Field(
        default=0.1, ge=0, le=MOST, description="weight of the KL between copy and image, lambda"
    )
    shift: float = Field(default=0.05, ge=0, lt=1, description="largest shift of the copy, as a fraction of the side")
    rotation: float = Field(default=10.0, ge=0, le=180, description="largest rotation of the copy, in degrees")
    scaling: float = Field(default=0.1, ge=0, lt=1, description="largest relative change of the copy's size")

    def copies(self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None) -> Float[Tensor, "B C H W"]:
        """Draw a copy x~ ~ t(x~|x) of each image."""
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
        return self.consistency * _kl(copy_q, q, generator, (z, log_q)) - elbo


def _kl(q: Posterior, p: Posterior, generator: torch.Generator | None, samples: Samples) -> Float[Tensor, " B"]:
    """Return KL(q || p) in nats: in closed form between Gaussians, else by the samples of q that the ELBO has too."""
    # NOTE: as a Gaussian, because the `kl` of a GP encoder is not that of the marginalised encoder.
    return (q.as_gaussian() or q).kl(p.with_weights_fixed(), generator, samples)
