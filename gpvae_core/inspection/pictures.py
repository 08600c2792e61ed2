"""View 5: what the decoder makes of each answer, against the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.inspection.views import Array, Reconstruction
from gpvae_core.truth.importance import decodes_at_once
from gpvae_core.vae import VAE

STRIP = 8
PROPOSALS = 2000


@torch.no_grad()
def decode_means(vae: VAE, z: Array, like: Tensor) -> Array:
    """E[x|z] of latents (K, D), as the likelihood states it; (K, C, H, W)."""
    points = torch.as_tensor(z, dtype=like.dtype, device=like.device)
    return vae.likelihood.mean(vae.decode(points)).cpu().numpy()


def reconstructions(vae: VAE, x: Float[Tensor, "1 C H W"], latents: Mapping[str, Array]) -> tuple[Reconstruction, ...]:
    """Return one for each named latent (D,), with its signed error."""
    target = x[0].cpu().numpy()
    images = decode_means(vae, np.stack(list(latents.values())), x)
    return tuple(_against(target, name, image) for name, image in zip(latents, images, strict=True))


def _against(target: Array, name: str, image: Array) -> Reconstruction:
    error = image - target
    return Reconstruction(name, image, error.mean(0), float(np.sqrt((error.astype(np.float64) ** 2).mean())))


@dataclass(frozen=True)
class ResampledLatents:
    """Latents (K, D) drawn by sampling-importance-resampling, and the effective number of proposals."""

    z: Array
    effective: float


@torch.no_grad()
def resample(
    vae: VAE,
    x: Float[Tensor, "1 C H W"],
    mean: Array,
    chol: Array,
    generator: torch.Generator,
    n: int = STRIP,
    proposals: int = PROPOSALS,
) -> ResampledLatents:
    """n latents, approximately from p(z|x): proposals from N(mean, chol chol'), resampled by w = p(x,z) / q(z).

    Args:
        mean, chol: (D,) and lower triangular (D, D).
        generator: on the CPU, so that the strip is the same on every device.
    """
    q = torch.distributions.MultivariateNormal(torch.as_tensor(mean), scale_tril=torch.as_tensor(chol))
    eps = torch.randn(proposals, len(mean), generator=generator, dtype=torch.float64)
    z = q.loc + eps @ q.scale_tril.T
    points = z.to(x)[:, None, :]
    log_joint = torch.cat([vae.log_joint(x, part)[:, 0] for part in points.split(decodes_at_once(x.device))])
    weights = torch.softmax(log_joint.cpu().double() - q.log_prob(z), dim=0)
    chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
    return ResampledLatents(z[chosen].numpy(), float(1.0 / weights.square().sum()))
