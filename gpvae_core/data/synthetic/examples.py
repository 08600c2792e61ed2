"""The synthetic examples: their true decoders, noise and classes, and draws of any size (Yacoby et al. 2024, C.1)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import nn

from gpvae_core.data.synthetic import curves, linear
from gpvae_core.data.synthetic.surrogate import EVENT_SHAPE, Curve, load_surrogate
from gpvae_core.errors import UserError, unknown

Latents1 = Float64[np.ndarray, " N"]


@dataclass(frozen=True)
class Example:
    """A model with known parameters: z ~ N(0, 1), x|z ~ N(f(z), sigma^2 I)."""

    name: str
    sigma: float
    """sigma_epsilon, a standard deviation in the units of x; the paper prints its square."""
    decoder: Callable[[], nn.Module]
    """Function that loads f: (B, 1) -> (B, 1, 1, 2)."""
    points_of: Example | None = None
    """The example with the same points and another decoder; None if the points are this example's own.

    p(x) is equal up to the surrogates' error: the KL is (5 +- 5) 1e-5 nats for circle-fold, and below 1e-6 for
    absolute-value-fold.
    """
    latents: Callable[[Latents1, Latents1], Latents1] = lambda z, sign: z
    """Function from the latents of `points_of`, and a random sign each, to latents of this decoder's same points."""
    class_of: Callable[[Latents1], Int64[np.ndarray, " N"]] = lambda z: np.zeros(len(z), np.int64)
    class_names: tuple[str, ...] = ("point",)


@dataclass(frozen=True)
class Draw:
    """Points of an example, and the latents that generated them."""

    points: Float32[np.ndarray, "n 1 1 2"]
    latents: Float64[np.ndarray, "n 1"]
    labels: Int64[np.ndarray, " n"]


CURVES: dict[str, Curve] = {
    "figure-8": curves.figure_8,
    "circle": curves.circle,
    "circle-fold": curves.circle_fold,
    "absolute-value": curves.absolute_value,
    "absolute-value-fold": curves.absolute_value_fold,
    "clusters": curves.clusters,
    "spiral-dots": curves.spiral_dots,
}
"""The decoders with a surrogate network."""


def _surrogate(name: str) -> Callable[[], nn.Module]:
    return partial(load_surrogate, name, CURVES[name])


SUMMARIES = {
    "figure-8": "Figure-8, points on a lemniscate that crosses itself (synthetic, Yacoby et al. 2024).",
    "circle": "Circle, points on a closed curve with a cut (synthetic, Yacoby et al. 2024).",
    "circle-fold": "The points of circle, made by a second decoder that goes round twice (synthetic).",
    "absolute-value": "Absolute-Value, points on a line segment (synthetic, Yacoby et al. 2024).",
    "absolute-value-fold": (
        "The points of absolute-value, made by a second decoder that goes there and back (synthetic)."
    ),
    "clusters": "Clusters, four on a circle with steep ways between (synthetic, Yacoby et al. 2024).",
    "spiral-dots": "Spiral-Dots, seven dots along a spiral with steep ways between (synthetic, Yacoby et al. 2024).",
    "linear-gaussian": "Points of a linear decoder, whose posterior and p(x) are known in closed form (synthetic).",
}
"""One line on each example, for `gpvae list datasets`."""


def _fitted(name: str, variance: float, **classes: Any) -> Example:
    """Return an example of the paper, whose decoder is a surrogate network."""
    return Example(name, math.sqrt(variance), _surrogate(name), **classes)


def _folded(maker: Example) -> Example:
    """Return the example with the points of `maker` and a decoder that passes each of them twice."""
    name = f"{maker.name}-fold"
    return Example(name, maker.sigma, _surrogate(name), points_of=maker, latents=curves.folded_latents)


_CIRCLE, _ABSOLUTE_VALUE = _fitted("circle", 0.01), _fitted("absolute-value", 0.01)
_EXAMPLES = (
    _fitted("figure-8", 0.02),
    _CIRCLE,
    _folded(_CIRCLE),
    _ABSOLUTE_VALUE,
    _folded(_ABSOLUTE_VALUE),
    _fitted("clusters", 0.2, class_of=curves.cluster_of, class_names=tuple(f"cluster {i}" for i in range(4))),
    _fitted("spiral-dots", 0.01, class_of=curves.dot_of, class_names=tuple(f"dot {i}" for i in range(7))),
    Example("linear-gaussian", linear.SIGMA, linear.linear_decoder),
)
EXAMPLES = {example.name: example for example in _EXAMPLES}
"""All examples by name, which is also the name of their data set."""


def get_example(name: str) -> Example:
    """Return the example of this name. Raises UserError, with the closest name, if there is none."""
    if name not in EXAMPLES:
        raise unknown("synthetic data set", name, EXAMPLES)
    return EXAMPLES[name]


def draw(name: str, n: int, seed: int, part: int = 0) -> Draw:
    """Draw n points of an example, with their latents.

    Variants of an example have equal points for equal n, seed and part.

    Args:
        seed: seed of the draw.
        part: split of the draw (0, 1, 2 for training, validation and test); splits are independent.

    Raises:
        UserError: there is no such example, n < 1, the seed is negative, or the surrogate network is damaged.
    """
    example = get_example(name)
    if n < 1:
        raise UserError(f"wanted at least 1 point of '{name}', got {n}")
    if seed < 0 or part < 0:
        raise UserError(f"wanted a seed of 0 or more, got {min(seed, part)}")
    rng = np.random.default_rng([seed, part])
    z, noise, sign = rng.standard_normal(n), rng.standard_normal((n, 2)), rng.choice([-1.0, 1.0], n)
    maker = example.points_of or example
    # Computed in float64 and rounded to float32 at the end, so that the points are equal on every machine.
    x = decode(maker.decoder(), z) + maker.sigma * noise
    return Draw(x.astype(np.float32).reshape(n, *EVENT_SHAPE), example.latents(z, sign)[:, None], example.class_of(z))


@torch.no_grad()
def decode(decoder: nn.Module, z: Latents1) -> Float64[np.ndarray, "N 2"]:
    """Return f(z), computed in float64 on a copy of the decoder, in chunks of bounded memory."""
    exact = copy.deepcopy(decoder).double()
    parts = torch.from_numpy(z)[:, None].split(65_536)
    return torch.cat([exact(part).flatten(1) for part in parts]).numpy()
