"""The generating model of synthetic data: z ~ N(0, I), x|z ~ N(f(z), sigma^2 I) (Yacoby et al. 2024, C.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from torch import nn


@dataclass(frozen=True)
class KnownTruth:
    """The true f and sigma, and the latents that generated each point: (theta^GT, Z^GT) of Yacoby et al. 2024.

    >>> import gpvae_core as gpvae
    >>> gpvae.load_dataset("circle").truth.latent_dim
    1
    """

    decoder: nn.Module
    """f: (B, d) -> (B, C, H, W), float32, without trainable parameters."""
    sigma: float
    """Standard deviation of the noise, sigma_epsilon, in the units of x."""
    latent_dim: int
    train: Float64[np.ndarray, "N d"]
    """Latents of the training points, in the same order; likewise for validation and test points."""
    validation: Float64[np.ndarray, "V d"]
    test: Float64[np.ndarray, "T d"]
