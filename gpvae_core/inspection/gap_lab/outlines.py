"""The outline of a method's posterior, with its name and centre."""

from __future__ import annotations

import numpy as np
import torch

from gpvae_core.densities.base import Posterior
from gpvae_core.inspection.gap_lab.views import Outline
from gpvae_core.inspection.outline import outline
from gpvae_core.inspection.views import Plane

RESOLVED = 1e-6
"""Smallest standard deviation, as a share of the mean's size, of which float32 leaves a shape to draw."""


def drawable(q: Posterior) -> bool:
    """Return whether q, the posterior of one image, has an outline; one of a refiner that diverged has none."""
    mean, deviation = q.mean[0], q.variance[0].sqrt()
    finite = torch.isfinite(mean).all() and torch.isfinite(deviation).all()
    return bool(finite and (deviation > RESOLVED * mean.abs()).all())


def outline_of(name: str, q: Posterior, plane: Plane, side: int = 81) -> Outline:
    """Return the outline of q, the posterior of one image, from a grid with `side` points along each side.

    The outline of a posterior that is not `drawable` is a single point of NaN.
    """
    line = outline(q, plane, side) if drawable(q) else np.full((1, 2), np.nan)
    return Outline(name, line, plane.coordinates(q.mean[0].cpu().double().numpy()))
