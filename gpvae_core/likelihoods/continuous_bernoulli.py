"""The continuous Bernoulli likelihood (Loaiza-Ganem & Cunningham 2019), a density of grey levels on [0, 1].

p(x|lambda) = C(lambda) lambda^x (1 - lambda)^(1 - x) with lambda = sigmoid(g). In the logit g it is exp(x g - A(g)),
A(g) = log((e^g - 1) / g), and log C(lambda) = log(1 + e^g) - A(g). At g = 0, lambda = 1/2, the closed forms of A and
its derivatives are 0/0; near it a Taylor polynomial stands for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gpvae_core.likelihoods.base import LIKELIHOODS, LikelihoodConfig
from gpvae_core.likelihoods.exponential import ExponentialFamily

NEAR = 0.25
"""|g/2| below which the polynomials are used: the first term left out is then below 1e-16."""
LOG_SINHC = (1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250)
"""Coefficients of log(sinh(h)/h) in h^2, h^4, ..., h^12; the n-th is (-1)^(n+1) zeta(2n) / (n pi^(2n))."""
LANGEVIN = tuple(2 * n * c for n, c in enumerate(LOG_SINHC, 1))
"""Coefficients of its derivative coth(h) - 1/h in h, h^3, ..., h^11."""


def _polynomial(square: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Return c_1 + c_2 s + c_3 s^2 + ... by Horner's rule."""
    value = torch.full_like(square, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * square + c
    return value


def log_sinhc(h: Tensor) -> Tensor:
    """Return log(sinh(h) / h), even, 0 at 0, and about |h| - log|2h| far out."""
    # NOTE: `where` differentiates both branches: the one not taken gets 0 or 1, or 0/0 would make the gradient NaN.
    near = h.abs() < NEAR
    square = torch.where(near, h, 0.0).square()
    far = torch.where(near, 1.0, h).abs()
    series = square * _polynomial(square, LOG_SINHC)
    # sinh(h) = e^h (1 - e^{-2h}) / 2, in which no large h overflows
    return torch.where(near, series, far + torch.log(-torch.expm1(-2.0 * far) / (2.0 * far)))


def langevin(h: Tensor) -> Tensor:
    """Return coth(h) - 1/h, odd, from -1 to 1."""
    near = h.abs() < NEAR
    close = torch.where(near, h, 0.0)
    far = torch.where(near, 1.0, h)
    return torch.where(near, close * _polynomial(close.square(), LANGEVIN), 1.0 / far.tanh() - 1.0 / far)


class ContinuousBernoulliLikelihood(ExponentialFamily):
    """The density lambda^x (1 - lambda)^(1 - x) C(lambda) of grey levels; nats.

    As any density on [0, 1] it may exceed one: a pixel that is black in every image gains log |g| without bound.
    """

    def log_partition(self, g: Tensor) -> Tensor:
        """Return A(g) = log((e^g - 1) / g) = g/2 + log(sinh(g/2) / (g/2))."""
        return 0.5 * g + log_sinhc(0.5 * g)

    def mean(self, g: Tensor) -> Tensor:
        """Return A'(g) = 1 / (1 - e^-g) - 1/g: 1/2 at g = 0, and closer to it than lambda elsewhere."""
        return 0.5 + 0.5 * langevin(0.5 * g)

    @torch.no_grad()
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw by the inverse of the distribution function, log(1 + u (e^g - 1)) / g, mirrored where g > 0."""
        u = torch.rand(g.shape, generator=generator, device=g.device, dtype=g.dtype)
        # At g = 0 it is uniform; with a rate of 1e-6 it is so to the precision of float32.
        rate = g.abs().clamp_min(1e-6)
        x = -torch.log1p(u * torch.expm1(-rate)) / rate
        return torch.where(g > 0, 1.0 - x, x)


@LIKELIHOODS.register("continuous_bernoulli")
class ContinuousBernoulliConfig(LikelihoodConfig):
    """Continuous Bernoulli likelihood (Loaiza-Ganem & Cunningham 2019) for grey levels; the decoder gives logits."""

    kind: ClassVar[str] = "continuous_bernoulli"

    def build(self) -> ContinuousBernoulliLikelihood:
        return ContinuousBernoulliLikelihood()
