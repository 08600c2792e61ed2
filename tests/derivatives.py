"""Derivatives by finite differences, the oracle of every gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def directional(value: Callable[[], Tensor], weights: Sequence[Tensor], direction: Sequence[Tensor], h: float) -> float:
    """Return the central difference of `value` as all weights move along the direction; they end where they began."""
    ends = []
    for sign in (1.0, -1.0):
        for w, v in zip(weights, direction, strict=True):
            w.add_(sign * h * v)
        ends.append(float(value()))
        for w, v in zip(weights, direction, strict=True):
            w.sub_(sign * h * v)
    return (ends[0] - ends[1]) / (2 * h)
