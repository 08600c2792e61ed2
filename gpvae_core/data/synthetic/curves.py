"""The decoders of the synthetic examples, R -> R^2 (Yacoby et al. 2024, C.1, eq. 31-35), and folds of two of them.

Every function takes latents z (N,) and returns points (N, 2), both float64. Phi is the standard normal CDF.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import expit, ndtr, ndtri

Latents1 = Float64[np.ndarray, " N"]
Points = Float64[np.ndarray, "N 2"]


def figure_8(z: Latents1) -> Points:
    """Eq. 31: a lemniscate at the angles u = (0.6 + 1.8 Phi(z)) pi, which passes its centre twice."""
    u = (0.6 + 1.8 * ndtr(z)) * np.pi
    bottom = np.sin(u) ** 2 + 1.0
    return np.stack([np.sqrt(0.5) * np.cos(u) / bottom, np.sqrt(2.0) * np.cos(u) * np.sin(u) / bottom], axis=1)


def circle(z: Latents1) -> Points:
    """Eq. 32: (cos, sin) of 2 pi Phi(z)."""
    return _circle(ndtr(z))


def circle_fold(z: Latents1) -> Points:
    """The circle at |2 Phi(z) - 1|, as uniform as Phi(z): the same p(x) from another decoder, two latents a point."""
    return _circle(_folded(z))


def absolute_value(z: Latents1) -> Points:
    """Eq. 33 as printed: (|Phi(z)|, |Phi(z)|). Phi is positive, so the bars change nothing: a line segment."""
    return _diagonal(ndtr(z))


def absolute_value_fold(z: Latents1) -> Points:
    """The segment at |2 Phi(z) - 1|, as uniform as Phi(z): the same p(x) from another decoder, two latents a point."""
    return _diagonal(_folded(z))


def clusters(z: Latents1) -> Points:
    """Eq. 34: (cos, sin) of t = 4 i + 2 + 2 tanh(10 (u - 2 i - 1)), i = floor(u / 2), u = 2 pi / (1 + exp(-pi z / 2)).

    t climbs from 0 to 12 in three steep steps, so that nearly all points lie at the angles 0, 4, 8 and 12.
    """
    t = 2.0 * _steps(2.0 * np.pi * expit(0.5 * np.pi * z))
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def cluster_of(z: Latents1) -> Int64[np.ndarray, " N"]:
    """Return which of the four clusters a latent belongs to, from 0 to 3."""
    return _nearest_step(2.0 * np.pi * expit(0.5 * np.pi * z))


def spiral_dots(z: Latents1) -> Points:
    """Eq. 35: t (cos t, sin t), t = 2 i + 1 + tanh(10 (u - 2 i - 1)), i = floor(u / 2), u = 4 pi / (1 + e^(-pi z / 2)).

    t climbs from 0 to 12 in six steep steps: dots at the radii 0, 2, ..., 12.
    """
    t = _steps(4.0 * np.pi * expit(0.5 * np.pi * z))
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=1)


def dot_of(z: Latents1) -> Int64[np.ndarray, " N"]:
    """Return which of the seven dots a latent belongs to, from 0 to 6."""
    return _nearest_step(4.0 * np.pi * expit(0.5 * np.pi * z))


def folded_latents(z: Latents1, sign: Float64[np.ndarray, " N"]) -> Latents1:
    """Return the latents Phi^-1((1 + sign Phi(z)) / 2), of sign +-1, that a fold takes to the point of z."""
    # From the small tail, of which float64 has all digits: Phi^-1((1 + u) / 2) = -Phi^-1((1 - u) / 2).
    return -sign * ndtri(0.5 * ndtr(-z))


def _circle(u: Latents1) -> Points:
    return np.stack([np.cos(2.0 * np.pi * u), np.sin(2.0 * np.pi * u)], axis=1)


def _diagonal(u: Latents1) -> Points:
    return np.stack([u, u], axis=1)


def _folded(z: Latents1) -> Latents1:
    return np.abs(2.0 * ndtr(z) - 1.0)


def _steps(u: Latents1) -> Latents1:
    """tanh(10 u - 20 i - 10) + 2 i + 1 with i = floor(u / 2): from 2 i to 2 i + 2 where u passes 2 i + 1."""
    i = np.floor(u / 2.0)
    return np.tanh(10.0 * u - 20.0 * i - 10.0) + 2.0 * i + 1.0


def _nearest_step(u: Latents1) -> Int64[np.ndarray, " N"]:
    """Number the steps: below u = 1 it is 0, from there up to u = 3 it is 1, and so on."""
    return np.floor((u + 1.0) / 2.0).astype(np.int64)
