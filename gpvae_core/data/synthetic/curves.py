"""The decoders of the synthetic examples, R -> R^2 (Yacoby et al. 2024, C.1, eq. 31-35), and folds of two of them.

The decoders take latents z (N,) and return points (N, 2), both in float64. Phi is the standard normal CDF.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import expit, ndtr, ndtri

Latents1 = Float64[np.ndarray, " N"]
Points = Float64[np.ndarray, "N 2"]


def figure_8(z: Latents1) -> Points:
    """Return eq. 31: a lemniscate at the angles u = (0.6 + 1.8 Phi(z)) pi, which passes its centre twice."""
    u = (0.6 + 1.8 * ndtr(z)) * np.pi
    denominator = np.sin(u) ** 2 + 1.0
    x, y = np.sqrt(0.5) * np.cos(u) / denominator, np.sqrt(2.0) * np.cos(u) * np.sin(u) / denominator
    return np.stack([x, y], axis=1)


def circle(z: Latents1) -> Points:
    """Return eq. 32: (cos, sin) of 2 pi Phi(z)."""
    return _circle(ndtr(z))


def circle_fold(z: Latents1) -> Points:
    """Return the circle at |2 Phi(z) - 1|, which is uniform as Phi(z) is: the same p(x), with two latents per point."""
    return _circle(_folded(z))


def absolute_value(z: Latents1) -> Points:
    """Return eq. 33 as printed: (|Phi(z)|, |Phi(z)|), a line segment, because Phi is positive."""
    return _diagonal(ndtr(z))


def absolute_value_fold(z: Latents1) -> Points:
    """Return the segment at |2 Phi(z) - 1|, which is uniform as Phi(z) is: the same p(x), two latents per point."""
    return _diagonal(_folded(z))


def clusters(z: Latents1) -> Points:
    """Return eq. 34: (cos, sin) of t, which rises from 0 to 12 in three steep steps.

    t = 4 i + 2 + 2 tanh(10 (u - 2 i - 1)) with i = floor(u / 2) and u = 2 pi / (1 + exp(-pi z / 2)). Nearly all points
    are at the angles 0, 4, 8 and 12.
    """
    t = 2.0 * _steps(2.0 * np.pi * expit(0.5 * np.pi * z))
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def cluster_of(z: Latents1) -> Int64[np.ndarray, " N"]:
    """Return the index of each latent's cluster, from 0 to 3."""
    return _nearest_step(2.0 * np.pi * expit(0.5 * np.pi * z))


def spiral_dots(z: Latents1) -> Points:
    """Return eq. 35: t (cos t, sin t), with t rising from 0 to 12 in six steep steps: dots at the radii 0, 2, ..., 12.

    t = 2 i + 1 + tanh(10 (u - 2 i - 1)) with i = floor(u / 2) and u = 4 pi / (1 + exp(-pi z / 2)).
    """
    t = _steps(4.0 * np.pi * expit(0.5 * np.pi * z))
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=1)


def dot_of(z: Latents1) -> Int64[np.ndarray, " N"]:
    """Return the index of each latent's dot, from 0 to 6."""
    return _nearest_step(4.0 * np.pi * expit(0.5 * np.pi * z))


def folded_latents(z: Latents1, sign: Float64[np.ndarray, " N"]) -> Latents1:
    """Return the latents Phi^-1((1 + sign Phi(z)) / 2), sign = +-1, that a folded decoder maps to the point of z."""
    # With u = Phi(z), Phi^-1((1 + u) / 2) = -Phi^-1((1 - u) / 2) = -Phi^-1(Phi(-z) / 2): the small tail Phi(-z) keeps
    # all digits in float64, whereas 1 + u would round.
    return -sign * ndtri(0.5 * ndtr(-z))


def _circle(u: Latents1) -> Points:
    return np.stack([np.cos(2.0 * np.pi * u), np.sin(2.0 * np.pi * u)], axis=1)


def _diagonal(u: Latents1) -> Points:
    return np.stack([u, u], axis=1)


def _folded(z: Latents1) -> Latents1:
    return np.abs(2.0 * ndtr(z) - 1.0)


def _steps(u: Latents1) -> Latents1:
    """Return tanh(10 u - 20 i - 10) + 2 i + 1, i = floor(u / 2), which steps from 2 i to 2 i + 2 at u = 2 i + 1."""
    i = np.floor(u / 2.0)
    return np.tanh(10.0 * u - 20.0 * i - 10.0) + 2.0 * i + 1.0


def _nearest_step(u: Latents1) -> Int64[np.ndarray, " N"]:
    """Return the number of steps below u: 0 for u < 1, 1 for 1 <= u < 3, and so on."""
    return np.floor((u + 1.0) / 2.0).astype(np.int64)
