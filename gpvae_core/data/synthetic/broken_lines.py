"""The start of a surrogate's fit: a curve as broken lines, which a ReLU network of three hidden layers is.

The curve is F(s(z)) with the arc length s. The first two layers make s a broken line of a broken line, whose knots lie
between each other's; the third makes F one. Knots lie where the second derivative is large and z is likely.
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
"""Latents that the lines span, and how finely z and s are looked at."""
MASS_ON_S, MASS_ON_CURVE = 0.05, 0.3
"""Share of the knots that go where points are, whatever the curve does there."""
SHARPEST = 360.0
"""Largest turn that counts, in radians on the whole length: a cusp would take all knots."""
NOISE = 1e-4
"""Noise on the weights of the upper layers at the start, so that equal units can part."""


@dataclass(frozen=True)
class Hinges:
    """offset + sum_i change_i relu(x - knot_i): the broken line through points (x_i, y_i), from x_0 on."""

    offset: Float64[np.ndarray, " m"]
    change: Float64[np.ndarray, "n m"]
    knot: Array1

    @staticmethod
    def through(x: Array1, y: Float64[np.ndarray, "k m"]) -> Hinges:
        slope = np.diff(y, axis=0) / np.diff(x)[:, None]
        return Hinges(y[0], np.diff(slope, axis=0, prepend=0.0), x[:-1])

    def __call__(self, x: Array1) -> Float64[np.ndarray, "k m"]:
        return self.offset + np.maximum(x[:, None] - self.knot, 0.0) @ self.change


def start_network(curve: Curve, seed: int) -> nn.Module:
    """Return the network, float64, that is the curve but for its broken lines and a little noise."""
    z = np.linspace(-EXTENT, EXTENT, FINE)
    x = curve(z)
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))])
    likely = np.exp(-0.5 * z**2)
    knots = _quantiles(z, _density(np.gradient(np.gradient(s, z), z), likely, MASS_ON_S), 2 * ARCHITECTURE.hidden + 2)
    first = Hinges.through(knots[0::2], np.interp(knots[0::2], z, s)[:, None])
    between = _apart(first(knots[1::2])[:, 0], knots[1::2])
    second = Hinges.through(between[0], np.interp(between[1], z, s)[:, None])
    bends = _knots_of_curve(curve, z, s, likely)
    third = Hinges.through(bends, np.stack([np.interp(bends, s, column) for column in x.T], axis=1))
    return _assembled(first, second, third, float(s[-1]), seed)


def _apart(x: Array1, z: Array1) -> tuple[Array1, Array1]:
    """Without knots that coincide, as they do where s stands still."""
    kept = np.diff(x, prepend=-np.inf) > 1e-9
    return x[kept], z[kept]


def _knots_of_curve(curve: Curve, z: Array1, s: Array1, likely: Array1) -> Array1:
    """Arc lengths at which F has its knots, from 0 to the whole length."""
    length = s[-1]
    at = (np.arange(COARSE) + 0.5) / COARSE * length
    direction = np.gradient(curve(np.interp(at, s, z)), at, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-12
    turn = np.linalg.norm(np.gradient(direction, at / length, axis=0), axis=1)
    mass = _smooth(np.histogram(s, bins=COARSE, range=(0.0, length), weights=likely)[0], 9)
    density = _density(_smooth(np.minimum(turn, SHARPEST), 41), mass, MASS_ON_CURVE)
    return np.concatenate([[0.0], _quantiles(at, density, ARCHITECTURE.hidden + 1)[1:-1], [length]])


def _density(second_derivative: Array1, likely: Array1, on_mass: float) -> Array1:
    """|y''|^(2/5) w^(1/5), that of the best knots in the mean square with weights w; a share follows w itself."""
    weight = likely / likely.sum()
    best = (np.square(second_derivative) * (weight + 1e-10)) ** 0.2 + 1e-12
    return best / best.sum() + on_mass * weight


def _quantiles(x: Array1, density: Array1, n: int) -> Array1:
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.interp(np.linspace(0.0, 1.0, n), cumulative / cumulative[-1], x)


def _smooth(values: Array1, width: int) -> Array1:
    return np.convolve(values, np.full(width, 1.0 / width), "same")


def _assembled(first: Hinges, second: Hinges, third: Hinges, length: float, seed: int) -> nn.Module:
    """The three as one network; scales are shared out so that no layer's weights are much larger than another's."""
    net = ARCHITECTURE.decoder(1, EVENT_SHAPE).double()
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    noise = np.random.default_rng(seed).standard_normal((2, ARCHITECTURE.hidden, ARCHITECTURE.hidden)) * NOISE
    size, root = np.sqrt(np.abs(first.change[:, 0]) + 1e-3), np.sqrt(length)
    missing = ARCHITECTURE.hidden - len(second.knot)
    change = np.concatenate([second.change[:, 0], np.zeros(missing)])
    knot = np.concatenate([second.knot, np.full(missing, second.knot[-1])])
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
