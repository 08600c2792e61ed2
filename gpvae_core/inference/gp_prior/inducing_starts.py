"""The starts of inducing points: where they lie before the first step (Jazbec et al. 2021, Fig. 4 and C.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

PointsStart: TypeAlias = Literal["spread", "draws", "random", "low", "middle", "high"]
RANDOM_SCALE = 1.5
"""Standard deviation of random starts (Table C.1)."""
NORMAL_REFERENCE = 1.06
"""Bandwidth of a kernel density estimate, in standard deviations times N^(-1/5) (Silverman 1986)."""
SQUEEZED = 0.1
"""Share of the inputs' range in which adversarial starts lie (Fig. 4)."""

Inputs: TypeAlias = Float[Tensor, "N F"]


def starting_points(start: PointsStart, m: int, inputs: Inputs, learned: Bool[Tensor, " F"], seed: int) -> Inputs:
    """Return m inducing points (m, F).

    Args:
        inputs: the inputs of the training instances.
        learned: which of their features are those of categories' vectors.
    """
    rng = np.random.default_rng(seed)
    return _STARTS[start](m, inputs, learned, rng)


def _spread(m: int, inputs: Inputs, learned: Tensor, rng: np.random.Generator) -> Inputs:
    """Return inputs of training instances that are far from each other (k-means++), in standard deviations."""
    from sklearn.cluster import kmeans_plusplus  # takes long to import, and only a new run needs it

    distinct = _distinct(inputs)
    scaled = distinct / distinct.std(0, correction=0).clamp_min(1e-12)
    count = min(len(distinct), m)
    _, chosen = kmeans_plusplus(scaled.numpy(), count, random_state=int(rng.integers(2**32)))
    # Where there are fewer distinct inputs than points, some are taken twice: the jitter takes care of them.
    return distinct[torch.as_tensor(chosen)[torch.arange(m) % count]]


def _draws(m: int, inputs: Inputs, learned: Tensor, rng: np.random.Generator) -> Inputs:
    """Return draws of vectors at each of the distinct numbers in turn (Algorithm 1).

    A draw is from a kernel density estimate of the vectors: a row, all of whose features are moved by one normal
    deviate times the bandwidth of each, as in the public code.
    """
    numbers, vectors = _distinct(inputs[:, ~learned]), _distinct(inputs[:, learned])
    points = inputs.new_empty(m, inputs.shape[1])
    # Of Q numbers each is taken m / Q times; where m < Q, they are left out evenly.
    step = max(1.0, len(numbers) / m)
    points[:, ~learned] = numbers[(torch.arange(m) * step).long() % len(numbers)]
    std = (vectors - vectors.mean(0)).square().mean(0).sqrt()
    bandwidth = NORMAL_REFERENCE * std * len(vectors) ** -0.2
    rows = torch.from_numpy(rng.integers(len(vectors), size=m))
    deviates = torch.from_numpy(rng.standard_normal((m, 1))).to(points)
    points[:, learned] = vectors[rows] + deviates * bandwidth
    return points


def _distinct(rows: Float[Tensor, "N E"]) -> Float[Tensor, "Q E"]:
    """Return the distinct rows; one of no numbers where there are no features."""
    return torch.unique(rows, dim=0) if rows.shape[1] else rows[:1]


def _random(m: int, inputs: Inputs, learned: Tensor, rng: np.random.Generator) -> Inputs:
    """Return draws with normal vectors in place of the density estimate's (Table C.1)."""
    points = _draws(m, inputs, learned, rng)
    normal = RANDOM_SCALE * rng.standard_normal((m, int(learned.sum())))
    points[:, learned] = torch.from_numpy(normal).to(points)
    return points


def _squeezed(place: float) -> Callable[[int, Inputs, Tensor, np.random.Generator], Inputs]:
    """Return the start in a tenth of the range of each feature, at a place from 0, the least, to 1 (Fig. 4)."""

    def start(m: int, inputs: Inputs, learned: Tensor, rng: np.random.Generator) -> Inputs:
        least, extent = inputs.amin(0), inputs.amax(0) - inputs.amin(0)
        shares = place * (1 - SQUEEZED) + SQUEEZED * torch.linspace(0, 1, m, dtype=inputs.dtype)
        return least + shares[:, None] * extent

    return start


_STARTS: Mapping[PointsStart, Callable[[int, Inputs, Tensor, np.random.Generator], Inputs]] = {
    "spread": _spread,
    "draws": _draws,
    "random": _random,
    "low": _squeezed(0.0),
    "middle": _squeezed(0.5),
    "high": _squeezed(1.0),
}
