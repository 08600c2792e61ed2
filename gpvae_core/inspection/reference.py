"""Training images with their codes: the support of MAPA and the empiricalized model (Yacoby et al. 2024, eq. 6-8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.base import Split
from gpvae_core.inspection.embedding import seeded_sample
from gpvae_core.inspection.views import Array
from gpvae_core.mapa.empirical import DecodedCodes
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE

MAX_FLOATS = 50_000_000
"""Largest number of float32 pixels in memory (200 MB), and of decoded ones; above it a seeded sample is used."""


@dataclass(frozen=True)
class TrainingReference:
    """N training images with their amortized codes z_i = E_q[z|x_i] and the decoded codes."""

    index: np.ndarray
    """(N,) indices in the training set."""
    pixels: Float[Tensor, "N P"]
    codes: Array
    """(N, D)."""
    model: DecodedCodes
    """The empiricalized model with these codes."""
    log_prior: Array
    """(N,) log p(z_i) in nats."""
    note: str
    """One sentence that describes the sample; empty if it is the whole training set."""


def reference_index(split: Split, seed: int) -> np.ndarray:
    """Return the indices of all training images, or of a seeded sample if they exceed MAX_FLOATS."""
    images = split.images
    pixels = int(np.prod(images.shape[1:]))
    return seeded_sample(len(images), max(1, MAX_FLOATS // pixels), seed)


@torch.no_grad()
def build_reference(
    vae: VAE, split: Split, index: np.ndarray, codes: Array, device: torch.device, progress: Progress = silent
) -> TrainingReference:
    """Return the images `index` with their codes (N, D), decoded."""
    pixels = split.pixels(index).to(device).flatten(1)
    model = DecodedCodes.build(vae, torch.as_tensor(codes, dtype=torch.float32), progress)
    n, n_total = len(index), len(split.images)
    note = (
        "" if n == n_total else f"A seeded sample of {n:,} of {n_total:,} training images stands for the training set."
    )
    exact = np.asarray(codes, dtype=np.float64)
    log_prior = vae.log_prior(torch.from_numpy(exact)).numpy()
    return TrainingReference(index, pixels, exact, model, log_prior, note)
