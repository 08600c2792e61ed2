"""The Bernoulli likelihoods against quadrature, torch's own distributions and high precision."""

from __future__ import annotations

import decimal
import math

import numpy as np
import pytest
import torch

from gpvae_core.likelihoods import BernoulliLikelihood, ContinuousBernoulliLikelihood

LOGITS = [0.0, 1e-9, -1e-6, 9e-5, -3e-3, 0.1, 0.4999, 0.5001, -0.5, 1.0, -2.0, 7.0, -15.0, 30.0, -30.0, 200.0]


def one_pixel(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1)


def moments(logit: float) -> tuple[float, float]:
    """Integral over [0, 1] of the continuous Bernoulli's density, and of x times it; Gauss-Legendre on 50 panels."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(0.0, 1.0, 51)
    x = (edges[:-1, None] + 0.5 * (nodes + 1.0) * np.diff(edges)[:, None]).ravel()
    w = (0.5 * weights * np.diff(edges)[:, None]).ravel()
    p = ContinuousBernoulliLikelihood().log_prob(one_pixel(x.tolist()), one_pixel([logit])).exp().numpy()
    return float(w @ p), float(w @ (x * p))


@pytest.mark.parametrize("logit", LOGITS)
def test_the_continuous_density_integrates_to_one_and_has_its_mean(logit: float) -> None:
    mass, mean = moments(logit)
    assert mass == pytest.approx(1.0, abs=1e-10)
    assert float(ContinuousBernoulliLikelihood().mean(torch.tensor(logit, dtype=torch.float64))) == pytest.approx(
        mean, abs=1e-10
    )


def exact(logit: float) -> tuple[float, float, float]:
    """A, A' and A'' of A(g) = log((e^g - 1) / g), with 60 digits."""
    if logit == 0.0:
        return 0.0, 0.5, 1 / 12
    with decimal.localcontext(decimal.Context(prec=60)):
        g = decimal.Decimal(logit)
        up, down = (g / 2).exp(), (-g / 2).exp()
        first = 1 / (1 - (-g).exp()) - 1 / g
        second = 1 / g**2 - 1 / (up - down) ** 2
        return float(((g.exp() - 1) / g).ln()), float(first), float(second)


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-12), (torch.float32, 3e-6)])
def test_the_normaliser_and_its_derivatives_near_a_half_and_far_out(
    logit: float, dtype: torch.dtype, accuracy: float
) -> None:
    """Value, gradient and curvature (the pixel's variance), and the reconstruction E[x|g] = A'."""
    g = torch.tensor(logit, dtype=dtype, requires_grad=True)
    value = ContinuousBernoulliLikelihood().log_partition(g)
    (first,) = torch.autograd.grad(value, g, create_graph=True)
    (second,) = torch.autograd.grad(first, g)
    expected = exact(float(g.detach()))
    actual = float(value.detach()), float(first.detach()), float(second)
    np.testing.assert_allclose(actual, expected, rtol=accuracy, atol=accuracy)
    assert float(ContinuousBernoulliLikelihood().mean(g.detach())) == pytest.approx(expected[1], abs=accuracy)


def test_log_c_is_as_published() -> None:
    """log C(lambda) = log(2 artanh(1 - 2 lambda) / (1 - 2 lambda)), and log 2 at 1/2."""
    g = torch.tensor([-6.0, -1.5, 0.7, 3.0], dtype=torch.float64)
    lam = g.sigmoid()
    log_c = torch.nn.functional.softplus(g) - ContinuousBernoulliLikelihood().log_partition(g)
    torch.testing.assert_close(log_c, torch.log(2 * torch.atanh(1 - 2 * lam) / (1 - 2 * lam)))
    at_half = -ContinuousBernoulliLikelihood().log_partition(torch.zeros(())) + math.log(2)
    assert float(at_half) == pytest.approx(math.log(2))


def test_the_continuous_one_agrees_with_torch() -> None:
    """Away from lambda = 1/2, where torch's own Taylor expansion is coarser."""
    generator = torch.Generator().manual_seed(0)
    g = 3.0 * torch.randn(50, 2, 3, 3, generator=generator, dtype=torch.float64)
    g = torch.where(g.abs() < 0.05, 0.5, g)
    x = torch.rand(50, 2, 3, 3, generator=generator, dtype=torch.float64)
    reference = torch.distributions.ContinuousBernoulli(logits=g)
    torch.testing.assert_close(
        ContinuousBernoulliLikelihood().log_prob(x, g), reference.log_prob(x).sum((-3, -2, -1)), atol=1e-8, rtol=1e-8
    )
    torch.testing.assert_close(ContinuousBernoulliLikelihood().mean(g), reference.mean, atol=1e-8, rtol=1e-8)


def test_bernoulli_agrees_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    g = 8.0 * torch.randn(50, 2, 3, 3, generator=generator, dtype=torch.float64)
    x = (torch.rand(50, 2, 3, 3, generator=generator, dtype=torch.float64) > 0.5).double()
    reference = torch.distributions.Bernoulli(logits=g)
    torch.testing.assert_close(BernoulliLikelihood().log_prob(x, g), reference.log_prob(x).sum((-3, -2, -1)))
    torch.testing.assert_close(BernoulliLikelihood().mean(g), reference.mean)


def test_bernoulli_of_a_grey_pixel_is_the_mean_over_black_and_white() -> None:
    g = one_pixel([-3.0, 0.2, 5.0])
    black, white = (BernoulliLikelihood().log_prob(torch.full_like(g, v), g) for v in (0.0, 1.0))
    torch.testing.assert_close(BernoulliLikelihood().log_prob(torch.full_like(g, 0.3), g), 0.7 * black + 0.3 * white)


@pytest.mark.parametrize("logit", [300.0, -300.0])
def test_bernoulli_far_out_is_finite(logit: float) -> None:
    g = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    right, wrong = (
        BernoulliLikelihood().log_prob(torch.full((1, 1, 1, 1), v), g) for v in (float(logit > 0), float(logit < 0))
    )
    assert float(right.detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(wrong.detach()) == pytest.approx(-300.0)
    (slope,) = torch.autograd.grad(wrong.sum(), g)
    assert float(slope) == pytest.approx(-math.copysign(1.0, logit))
