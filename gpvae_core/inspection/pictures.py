"""View 5: reconstructions from each posterior's mean compared with the input, and decoded posterior samples."""

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
"""Number of decoded posterior samples."""
PROPOSALS = 2000
"""Number of proposals from which they are resampled."""


@torch.no_grad()
def decode_means(vae: VAE, z: Array, like: Tensor) -> Array:
    """Return E[x|z] of latents (K, D), the likelihood's mean, (K, C, H, W)."""
    points = torch.as_tensor(z, dtype=like.dtype, device=like.device)
    return vae.likelihood.mean(vae.decode(points)).cpu().numpy()


def reconstructions(vae: VAE, x: Float[Tensor, "1 C H W"], latents: Mapping[str, Array]) -> tuple[Reconstruction, ...]:
    """Return the reconstruction from each named latent (D,), with its signed error."""
    target = x[0].cpu().numpy()
    images = decode_means(vae, np.stack(list(latents.values())), x)
    return tuple(_reconstruction(target, name, image) for name, image in zip(latents, images, strict=True))


def _reconstruction(target: Array, name: str, image: Array) -> Reconstruction:
    error = image - target
    return Reconstruction(name, image, error.mean(0), float(np.sqrt((error.astype(np.float64) ** 2).mean())))


@dataclass(frozen=True)
class ResampledLatents:
    """Latents (K, D) drawn by sampling-importance-resampling, and the effective sample size of the proposals."""

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
    """Draw n latents approximately from p(z|x) by resampling proposals from N(mean, chol chol') with p(x,z) / q(z).

    Args:
        mean, chol: mean (D,) and lower-triangular factor (D, D) of the proposal.
        generator: a generator on the CPU, so that the samples are the same on every device.
    """
    q = torch.distributions.MultivariateNormal(torch.as_tensor(mean), scale_tril=torch.as_tensor(chol))
    eps = torch.randn(proposals, len(mean), generator=generator, dtype=torch.float64)
    z = q.loc + eps @ q.scale_tril.T
    points = z.to(x)[:, None, :]
    log_joint = torch.cat([vae.log_joint(x, part)[:, 0] for part in points.split(decodes_at_once(x.device))])
    weights = torch.softmax(log_joint.cpu().double() - q.log_prob(z), dim=0)
    index = torch.multinomial(weights, n, replacement=True, generator=generator)
    # effective sample size (sum w)^2 / sum w^2 of normalised weights
    return ResampledLatents(z[index].numpy(), float(1.0 / weights.square().sum()))
