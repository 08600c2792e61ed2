"""E[log y^2] for y ~ N(a, t): the last term of eq. 16 of Kim & Pavlovic 2021, in closed form and by Monte Carlo.

With x = a / sqrt(2 t), y^2 / t is noncentral chi-square with noncentrality 2 x^2, a Poisson(x^2) mixture of central
ones, so

    E[log y^2] = log(2 t) + sum_k e^{-x^2} x^{2k} / k!  digamma(1/2 + k)
               = log(t / 2) - gamma - M^{(1,0,0)}(0, 1/2, -x^2),

where M is Kummer's confluent hypergeometric function and the superscript its derivative in the first parameter
(Lloyd et al. 2015). The Poisson sum has only positive weights and is summed where x^2 is small; for large x^2 the
expansion in s = 1 / (2 x^2) is exact to double precision. For t -> 0 it tends to log a^2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

SWITCH = 36.0
"""x^2 above which the asymptotic series is used; its smallest term there is below 1e-13."""
TERMS = 120
"""Number of Poisson terms: for x^2 <= 36 the remaining ones sum to less than 1e-25."""
SERIES = tuple(math.prod(range(1, 2 * n, 2)) / n for n in range(1, 13))
"""Coefficients c_n = (2n-1)!! / n of E[log(1 + w)^2] = -sum_n c_n s^n for w ~ N(0, s)."""


def _poisson_sum(x2: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_k Poisson(k; x2) digamma(1/2+k) and its derivative in x2, sum_k Poisson(k; x2) / (1/2+k)."""
    # NOTE: with log 0 the first term would be exp(0 * -inf) = NaN; at x2 = 0 it is the only term, with weight 1.
    k = torch.arange(TERMS, dtype=x2.dtype, device=x2.device)
    log_rate = x2.clamp_min(1e-300).log().unsqueeze(-1)
    weight = torch.exp(k * log_rate - x2.unsqueeze(-1) - torch.lgamma(k + 1))
    # d/dx2 Poisson(k; x2) = Poisson(k - 1; x2) - Poisson(k; x2), and digamma(3/2 + k) - digamma(1/2 + k) = 1/(1/2 + k)
    return (weight * torch.digamma(k + 0.5)).sum(-1), (weight / (k + 0.5)).sum(-1)


def _series(x2: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same two quantities by the expansion in s = 1/(2 x2); the value is log(x2) - sum_n c_n s^n."""
    # y = a (1 + w) with w ~ N(0, s), s = t / a^2, and log a^2 = log(2 t) + log(x2)
    s = 0.5 / x2
    value, slope = torch.log(x2), 1.0 / x2
    power = torch.ones_like(s)
    for n, c in enumerate(SERIES, start=1):
        power = power * s
        value = value - c * power
        # ds/dx2 = -s / x2
        slope = slope + c * n * power / x2
    return value, slope


class _ExpectedLogSquare(torch.autograd.Function):
    """E[log y^2] in double precision with exact first derivatives; autograd through the sum loses them for large x."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, t: Tensor) -> Tensor:
        host = "cpu" if a.device.type == "mps" else a.device  # MPS has no double precision
        a64, t64 = a.to(host).to(torch.float64), t.to(host).to(torch.float64).clamp_min(1e-30)
        x2 = a64.square() / (2 * t64)
        # NOTE: both branches are computed for all elements, so that each gets arguments within its range.
        small = x2 < SWITCH
        value_sum, slope_sum = _poisson_sum(torch.where(small, x2, 0.0))
        value_series, slope_series = _series(torch.where(small, SWITCH, x2))
        value = torch.log(2 * t64) + torch.where(small, value_sum, value_series)
        slope = torch.where(small, slope_sum, slope_series)
        # dx2/da = a / t and dx2/dt = -x2 / t
        grad_a = slope * a64 / t64
        # 1/t - slope x2/t cancels for large x2; there it is computed from the series, where 1 cancels exactly.
        far = torch.where(small, 1.0, 0.5 / torch.where(small, SWITCH, x2))
        tail = sum(c * n * far**n for n, c in enumerate(SERIES, start=1))
        grad_t = torch.where(small, 1.0 - slope * x2, -1.0 * tail) / t64
        ctx.save_for_backward(grad_a.to(a), grad_t.to(t))
        return value.to(a)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        grad_a, grad_t = ctx.saved_tensors
        return grad[0] * grad_a, grad[0] * grad_t


def expected_log_square(a: Float[Tensor, "*shape"], t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return E[log y^2] for y ~ N(a, t) in closed form (Lloyd et al. 2015); `t` is a variance, t >= 0."""
    return _ExpectedLogSquare.apply(a, t)  # pyright: ignore[reportReturnType]


def sampled_log_square(
    a: Float[Tensor, "*shape"], t: Float[Tensor, "*shape"], k: int, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """Return E[log y^2] for y ~ N(a, t) by `k` reparametrised samples, as the paper trains (text below eq. 16).

    y^2 is clipped at 1e-12, as y = 0 would give minus infinity and an unbounded gradient.
    """
    eps = torch.randn((k, *a.shape), generator=generator, device=a.device, dtype=a.dtype)
    y = a + t.clamp_min(1e-20).sqrt() * eps
    return y.square().clamp_min(1e-12).log().mean(0)
