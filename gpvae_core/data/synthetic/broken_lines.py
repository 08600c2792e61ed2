"""Initialization of a surrogate: a piecewise linear approximation of the curve as a ReLU network of three layers.

The curve is F(s(z)) with the arc length s. The first two hidden layers approximate s by a composition of two piecewise
linear functions with interleaved knots; the third approximates F. Knots are dense where the second derivative is large
and z is likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from gpvae_core.data.synthetic.surrogate import ARCHITECTURE, EVENT_SHAPE, Curve

Array1 = Float64[np.ndarray, " n"]

EXTENT, FINE, COARSE = 4.5, 180_001, 4000
"""Largest |z| of the approximation, and numbers of grid points for z and s."""
MASS_ON_S, MASS_ON_CURVE = 0.05, 0.3
"""Weight of the density of points, relative to that of the curvature, in the density of the knots of s and of F."""
SHARPEST = 360.0
"""Upper limit of the curvature, in radians per total length; otherwise a cusp would attract all knots."""
NOISE = 1e-4
"""Scale of the noise added to the weights of the upper layers, which breaks the symmetry of equal units."""


@dataclass(frozen=True)
class Hinges:
    """The piecewise linear function offset + sum_i change_i relu(x - knot_i), with n knots and m coordinates."""

    offset: Float64[np.ndarray, " m"]
    change: Float64[np.ndarray, "n m"]
    knot: Array1

    @staticmethod
    def through(x: Array1, y: Float64[np.ndarray, "k m"]) -> Hinges:
        """Return the linear interpolation of the points (x_i, y_i), for x >= x_0."""
        # The slope changes at each knot by the difference of the slopes on its two sides (0 before x_0).
        slope = np.diff(y, axis=0) / np.diff(x)[:, None]
        return Hinges(y[0], np.diff(slope, axis=0, prepend=0.0), x[:-1])

    def __call__(self, x: Array1) -> Float64[np.ndarray, "k m"]:
        return self.offset + np.maximum(x[:, None] - self.knot, 0.0) @ self.change


def start_network(curve: Curve, seed: int) -> nn.Module:
    """Return a network, in float64, that equals the piecewise linear approximation up to a little noise."""
    z = np.linspace(-EXTENT, EXTENT, FINE)
    x = curve(z)
    # arc length: cumulative sum of |x_{i+1} - x_i|
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))])
    likely = np.exp(-0.5 * z**2)
    knots = _quantiles(z, _density(np.gradient(np.gradient(s, z), z), likely, MASS_ON_S), 2 * ARCHITECTURE.hidden + 2)
    # s = second(first(z)): `first` interpolates s at the even knots. At the odd ones it has the value `approximate`,
    # which `second` maps to the exact s.
    first = Hinges.through(knots[0::2], np.interp(knots[0::2], z, s)[:, None])
    approximate, odd = _distinct(first(knots[1::2])[:, 0], knots[1::2])
    second = Hinges.through(approximate, np.interp(odd, z, s)[:, None])
    bends = _knots_of_curve(curve, z, s, likely)
    third = Hinges.through(bends, np.stack([np.interp(bends, s, column) for column in x.T], axis=1))
    return _network(first, second, third, float(s[-1]), seed)


def _distinct(x: Array1, z: Array1) -> tuple[Array1, Array1]:
    """Return the knots without those that coincide in x, as they do where s is constant."""
    is_new = np.diff(x, prepend=-np.inf) > 1e-9
    return x[is_new], z[is_new]


def _knots_of_curve(curve: Curve, z: Array1, s: Array1, likely: Array1) -> Array1:
    """Return the arc lengths, from 0 to the total length, at which F has its knots."""
    length = s[-1]
    at = (np.arange(COARSE) + 0.5) / COARSE * length
    # curvature: derivative of the unit tangent in the arc length, in units of the total length
    tangent = np.gradient(curve(np.interp(at, s, z)), at, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    curvature = np.linalg.norm(np.gradient(tangent, at / length, axis=0), axis=1)
    mass = _smooth(np.histogram(s, bins=COARSE, range=(0.0, length), weights=likely)[0], 9)
    density = _density(_smooth(np.minimum(curvature, SHARPEST), 41), mass, MASS_ON_CURVE)
    return np.concatenate([[0.0], _quantiles(at, density, ARCHITECTURE.hidden + 1)[1:-1], [length]])


def _density(second_derivative: Array1, likely: Array1, on_mass: float) -> Array1:
    """Return the density of knots: the optimal one, plus `on_mass` times the density w of the points."""
    # On an interval of length h the squared error of linear interpolation is ~ |y''|^2 h^4. Minimising
    # sum w |y''|^2 h^4 at a fixed number of knots gives the knot density 1/h ~ |y''|^(2/5) w^(1/5).
    weight = likely / likely.sum()
    best = (np.square(second_derivative) * (weight + 1e-10)) ** 0.2 + 1e-12
    return best / best.sum() + on_mass * weight


def _quantiles(x: Array1, density: Array1, n: int) -> Array1:
    """Return n points of x at equal steps of the cumulated density (trapezoidal rule)."""
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.interp(np.linspace(0.0, 1.0, n), cumulative / cumulative[-1], x)


def _smooth(values: Array1, width: int) -> Array1:
    return np.convolve(values, np.full(width, 1.0 / width), "same")


def _network(first: Hinges, second: Hinges, third: Hinges, length: float, seed: int) -> nn.Module:
    """Return the composition of the three functions as one ReLU network, with weights of similar size in all layers."""
    # relu(a x) = a relu(x) for a > 0, so that factors can move between a layer's incoming and outgoing weights.
    net = ARCHITECTURE.decoder(1, EVENT_SHAPE).double()
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    noise = np.random.default_rng(seed).standard_normal((2, ARCHITECTURE.hidden, ARCHITECTURE.hidden)) * NOISE
    size, root = np.sqrt(np.abs(first.change[:, 0]) + 1e-3), np.sqrt(length)
    unused = ARCHITECTURE.hidden - len(second.knot)  # units without effect, for knots that coincided
    change = np.concatenate([second.change[:, 0], np.zeros(unused)])
    knot = np.concatenate([second.knot, np.full(unused, second.knot[-1])])
    parameters = [
        (size[:, None], -size * first.knot),
        ((first.change[:, 0] / size / root)[None] + noise[0], (first.offset - knot) / root),
        (change[None] + noise[1], (second.offset - third.knot) / root),
        (third.change.T * root, third.offset),
    ]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, parameters, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    return net
