"""E[log y^2] of eq. 16: the closed form against quadrature, the hypergeometric formula and Monte Carlo."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from gpvae_core.gp.log_square import expected_log_square, sampled_log_square

CASES = [
    (0.0, 1.0),
    (1.0, 0.5),
    (3.0, 0.1),
    (-2.0, 0.3),
    (0.5, 0.004),
    (10.0, 0.01),
    (6.0, 0.49),
    (6.0, 0.51),
    (0.01, 2.0),
]


def by_quadrature(a: float, t: float) -> float:
    """The definition, split at the singularity y = 0."""

    def integrand(y: float) -> float:
        return math.log(y * y) * math.exp(-0.5 * (y - a) ** 2 / t) / math.sqrt(2 * math.pi * t)

    reach = 12 * math.sqrt(t)
    points = sorted({a - reach, a + reach, *([0.0] if abs(a) < reach else []), a})
    pieces = pairwise(points)
    return sum(quad(integrand, lo, hi, limit=400, epsabs=1e-12)[0] for lo, hi in pieces)


def by_hypergeometric(a: float, t: float) -> float:
    """log(t/2) - gamma - dM/da(0, 1/2, -a^2/(2t)) (Lloyd et al. 2015)."""
    slope = mpmath.diff(lambda q: mpmath.hyp1f1(q, 0.5, -a * a / (2 * t)), 0)
    return float(mpmath.log(t / 2) - mpmath.euler - slope)


@pytest.mark.parametrize(("a", "t"), CASES)
def test_closed_form_is_the_integral(a: float, t: float) -> None:
    value = float(expected_log_square(torch.tensor(a, dtype=torch.float64), torch.tensor(t, dtype=torch.float64)))
    assert value == pytest.approx(by_quadrature(a, t), abs=2e-7)
    assert value == pytest.approx(by_hypergeometric(a, t), abs=1e-9)


@pytest.mark.parametrize(("a", "t"), CASES)
def test_gradients_are_finite_differences(a: float, t: float) -> None:
    x = torch.tensor([a, t], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(expected_log_square(x[0], x[1]), x)
    h = 1e-5 * min(1.0, t)
    for i, step in enumerate(([h, 0.0], [0.0, h])):
        up, down = by_hypergeometric(a + step[0], t + step[1]), by_hypergeometric(a - step[0], t - step[1])
        assert float(slope[i]) == pytest.approx((up - down) / (2 * h), rel=2e-5, abs=1e-5)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("a", "t"), CASES)
def test_gradients_of_the_samples_are_finite_differences(a: float, t: float, k: int) -> None:
    """With the same noise each time."""

    def value(a: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return sampled_log_square(a, t, k, torch.Generator().manual_seed(0))

    x = torch.tensor([a, t], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value(x[0], x[1]), x)
    h = 1e-6 * t
    for i, step in enumerate(torch.eye(2, dtype=torch.float64) * h):
        up, down = value(*(x.detach() + step)), value(*(x.detach() - step))
        assert float(slope[i]) == pytest.approx(float(up - down) / (2 * h), rel=1e-5, abs=1e-5)
        assert abs(float(slope[i])) > 1e-3


def test_no_variance_is_the_log_of_the_square() -> None:
    a = torch.tensor([0.3, -2.0, 7.0])
    assert torch.allclose(expected_log_square(a, torch.zeros(3)), a.square().log(), atol=1e-6)


def test_samples_average_to_the_closed_form() -> None:
    a, t = torch.tensor([0.5, 2.0, -1.0]), torch.tensor([0.2, 0.5, 0.01])
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([sampled_log_square(a, t, 100, generator) for _ in range(200)]).double().numpy()
    error = draws.std(0) / math.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - expected_log_square(a, t).numpy()) < 4 * error)
