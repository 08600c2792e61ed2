"""The ellipse of a two-dimensional Gaussian that contains a given mass."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def ellipse(mean: Array, covariance: Array, mass: float = 0.9, points: int = 73) -> Array:
    """Return the contour (points, 2) of N(mean (2,), covariance (2, 2)) that contains `mass`, as a closed line."""
    # In two dimensions the squared Mahalanobis radius is exponential: 1 - exp(-r^2 / 2) = mass. With the root
    # covariance = R R', the contour is mean + r R (cos t, sin t).
    radius = math.sqrt(-2.0 * math.log1p(-mass))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    angle = np.linspace(0.0, 2.0 * math.pi, points)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return mean + radius * (root @ circle).T
