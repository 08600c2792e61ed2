"""View 5: reconstructions from each posterior's mean compared with the input, and decoded posterior samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.inspection.views import Array, Reconstruction
from gpvae_core.vae import VAE

STRIP = 8
"""Number of decoded posterior samples."""


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
