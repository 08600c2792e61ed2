"""The continuous Bernoulli likelihood (Loaiza-Ganem & Cunningham 2019), a density of grey levels on [0, 1].

p(x|lambda) = C(lambda) lambda^x (1 - lambda)^(1 - x) with lambda = sigmoid(g). In the logit g it is exp(x g - A(g)),
A(g) = log((e^g - 1) / g), and log C(lambda) = log(1 + e^g) - A(g). At g = 0, lambda = 1/2, the closed forms of A and
its derivatives are 0/0; near it they are replaced by Taylor polynomials.
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
    """Return c_1 + c_2 s + c_3 s^2 + ... for s = `square`, by Horner's rule."""
    value = torch.full_like(square, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * square + c
    return value


def log_sinhc(h: Tensor) -> Tensor:
    """Return log(sinh(h) / h), an even function: 0 at 0, and approximately |h| - log|2h| for large |h|."""
    # NOTE: `where` differentiates both branches, and 0/0 in the unused one would make the gradient NaN. So the argument
    # of the unused branch is replaced by 0 or 1.
    near = h.abs() < NEAR
    square = torch.where(near, h, 0.0).square()
    far = torch.where(near, 1.0, h).abs()
    series = square * _polynomial(square, LOG_SINHC)
    # sinh(h) = e^h (1 - e^{-2h}) / 2, which does not overflow for large h
    return torch.where(near, series, far + torch.log(-torch.expm1(-2.0 * far) / (2.0 * far)))


def langevin(h: Tensor) -> Tensor:
    """Return the Langevin function coth(h) - 1/h, odd and increasing from -1 to 1; the derivative of `log_sinhc`."""
    near = h.abs() < NEAR  # see `log_sinhc` for the two branches
    close = torch.where(near, h, 0.0)
    far = torch.where(near, 1.0, h)
    return torch.where(near, close * _polynomial(close.square(), LANGEVIN), 1.0 / far.tanh() - 1.0 / far)


class ContinuousBernoulliLikelihood(ExponentialFamily):
    """Continuous Bernoulli likelihood lambda^x (1 - lambda)^(1 - x) C(lambda) of grey levels x in [0, 1].

    As a density it may exceed one: for a pixel that is black in every image log p(x|g) grows like log |g|.
    """

    def log_partition(self, g: Tensor) -> Tensor:
        """Return A(g) = log((e^g - 1) / g) = g/2 + log(sinh(g/2) / (g/2))."""
        return 0.5 * g + log_sinhc(0.5 * g)

    def mean(self, g: Tensor) -> Tensor:
        """Return A'(g) = 1 / (1 - e^-g) - 1/g, which is 1/2 at g = 0 and closer to 1/2 than lambda elsewhere."""
        return 0.5 + 0.5 * langevin(0.5 * g)

    @torch.no_grad()
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw by the inverse distribution function, log(1 + u (e^g - 1)) / g at -|g|, and 1 - x for g > 0."""
        u = torch.rand(g.shape, generator=generator, device=g.device, dtype=g.dtype)
        # At g = 0 the density is uniform; at |g| = 1e-6 it is uniform to the precision of float32.
        rate = g.abs().clamp_min(1e-6)
        x = -torch.log1p(u * torch.expm1(-rate)) / rate
        return torch.where(g > 0, 1.0 - x, x)


@LIKELIHOODS.register("continuous_bernoulli")
class ContinuousBernoulliConfig(LikelihoodConfig):
    """Continuous Bernoulli likelihood (Loaiza-Ganem & Cunningham 2019) of grey levels; the decoder gives a logit."""

    kind: ClassVar[str] = "continuous_bernoulli"
    shares: ClassVar[bool] = True

    def build(self) -> ContinuousBernoulliLikelihood:
        return ContinuousBernoulliLikelihood()
