"""Moments of q(z|x) of every image of a split, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from gpvae_core.data.base import Split
from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE

CHUNK = 512
"""Number of images encoded in one batch."""


@dataclass(frozen=True)
class Encodings:
    """Moments of q(z|x) of M images, (M, D) each.

    `f` and `h` are the encoder's uncertainties V[f] and V[h]; None if it reports none.
    """

    mean: Array
    variance: Array
    base_mean: Array
    base_variance: Array
    f: Array | None
    h: Array | None

    @property
    def total(self) -> Array | None:
        """Tr V[f] + Tr V[h] of each image, (M,)."""
        return None if self.f is None or self.h is None else self.f.sum(-1) + self.h.sum(-1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, for a file."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Encodings:
        """Return the encodings that `arrays` describes. Raises KeyError if an array is missing."""
        names = ("mean", "variance", "base_mean", "base_variance")
        return Encodings(*(arrays[name] for name in names), f=arrays.get("f"), h=arrays.get("h"))


@torch.no_grad()
def encode_batch(vae: VAE, x: torch.Tensor) -> Encodings:
    """Encode one batch (B, C, H, W), on the model's device."""
    q = vae.infer(x)
    base, u = q.base(), q.uncertainty()
    tensors = (q.mean, q.variance, base.mean, base.variance, u.f if u else None, u.h if u else None)
    return Encodings(*(None if t is None else t.cpu().double().numpy() for t in tensors))  # pyright: ignore[reportArgumentType]


def encode(
    vae: VAE,
    split: Split,
    device: torch.device,
    what: str,
    indices: np.ndarray | None = None,
    progress: Progress = silent,
) -> Encodings:
    """Encode the images of a split, or those with these `indices`, in chunks; `what` names the work in the progress."""
    index = np.arange(len(split.images)) if indices is None else indices
    parts = []
    for start in range(0, len(index), CHUNK):
        progress(start, len(index), what)
        x = split.pixels(index[start : start + CHUNK]).to(device)
        parts.append(encode_batch(vae, x).arrays())
    progress(len(index), len(index), what)
    return Encodings.from_arrays({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
