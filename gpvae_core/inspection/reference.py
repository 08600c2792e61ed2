"""The training images that MAPA and the empiricalized model put their probability on (Yacoby et al. 2024, eq. 6-8)."""

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
"""Pixels kept as float32 (200 MB), and as many decoded; a seeded sample stands for a larger training set."""


@dataclass(frozen=True)
class TrainingReference:
    """N training images with their amortized codes z_i = E_q[z|x_i] and what the decoder makes of these."""

    index: np.ndarray
    """(N,) positions in the training set."""
    pixels: Float[Tensor, "N P"]
    codes: Array
    """(N, D)."""
    model: DecodedCodes
    """The empiricalized model with these codes."""
    note: str
    """Names the sample where it is one; empty where it is the whole training set."""

    @property
    def log_prior(self) -> Array:
        """log N(z_i; 0, I) in nats, (N,)."""
        d = self.codes.shape[1]
        return -0.5 * (self.codes**2).sum(-1) - 0.5 * d * np.log(2 * np.pi)


def reference_index(split: Split, seed: int) -> np.ndarray:
    """Return the training images that stand for the training set: all, or as many as fit."""
    images = split.images
    pixels = int(np.prod(images.shape[1:]))
    return seeded_sample(len(images), max(1, MAX_FLOATS // pixels), seed)


def build_reference(
    vae: VAE, split: Split, index: np.ndarray, codes: Array, device: torch.device, progress: Progress = silent
) -> TrainingReference:
    """Return the images at `index` with their codes (N, D)."""
    pixels = split.pixels(index).to(device).flatten(1)
    model = DecodedCodes.build(vae, torch.as_tensor(codes, dtype=torch.float32), progress)
    n, of = len(index), len(split.images)
    note = "" if n == of else f"A seeded sample of {n:,} of {of:,} training images stands for the training set."
    return TrainingReference(index, pixels, np.asarray(codes, dtype=np.float64), model, note)
