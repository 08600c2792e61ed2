"""Synthetic points near a curved surface, for measurements at any size."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

NOISE, BENDS = 0.05, 16
CHUNK = 1 << 16


def near_a_surface(n: int, dimensions: int, seed: int = 0) -> Float32[Tensor, "n d"]:
    """Return n points near a two-dimensional surface: sines of random projections of z ~ N(0, I), plus noise."""
    shape = torch.Generator().manual_seed(99)
    slopes, phases = torch.randn(2, BENDS, generator=shape), 6.3 * torch.rand(BENDS, generator=shape)
    weights = torch.randn(BENDS, dimensions, generator=shape) / BENDS**0.5
    generator = torch.Generator().manual_seed(seed)
    points = torch.empty(n, dimensions)
    for part in points.split(CHUNK):
        z = torch.randn(len(part), 2, generator=generator)
        part[:] = torch.sin(z @ slopes + phases) @ weights
        part += NOISE * torch.randn(part.shape, generator=generator)
    return points
