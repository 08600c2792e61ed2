"""Estimators of the ELBO's gradient: unbiased within their errors, and ordered in variance as theory says."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from gpvae_core.part_text import parse_part
from gpvae_core.vi.families.base import VI_FAMILIES, VIFamily
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.gradients.base import GRADIENTS, Drawn, gradient_variance, scores
from gpvae_core.vi.targets.base import TARGETS, VITarget
from gpvae_core.vi.targets.linear_gaussian import LinearGaussian

ESTIMATORS = sorted(GRADIENTS.summaries())
M = torch.tensor([0.6, -0.4], dtype=torch.float64)
REPEATS = 700


def make(target: str, family: str, sd: float = 0.6) -> tuple[VITarget, VIFamily]:
    return parse_part(target, TARGETS).build(), parse_part(family, VI_FAMILIES).build(M, sd, 1)


def exact_gradient(target: VITarget, family: VIFamily) -> Tensor:
    """The gradient of the ELBO as an integral over a grid."""
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    log_q = family.density().log_prob(z[:, None])[:, 0]
    elbo = (log_q.exp() * (target.log_density(z) - log_q)).sum() * 0.05**2
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(elbo, tuple(family.parameters()))])


@functools.cache
def estimates(kind: str, target: str, family: str, k: int = 6) -> tuple[Tensor, Tensor]:
    built, q = make(target, family)
    generator = torch.Generator().manual_seed(0)
    estimator = GRADIENTS.get(kind)()
    drawn = torch.stack([estimator.estimate(Drawn(built, q, k, generator)) for _ in range(REPEATS)])
    return drawn, exact_gradient(built, q)


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        (kind, family)
        for kind in ESTIMATORS
        for family in ("mean-field", "full", "mixture:2")
        if family == "mean-field" or not GRADIENTS.get(kind).mean_field
    ],
)
def test_every_estimator_is_unbiased(kind: str, family: str) -> None:
    drawn, exact = estimates(kind, "logistic-regression", family)
    error = drawn.std(0) / REPEATS**0.5
    assert bool(((drawn.mean(0) - exact).abs() <= 4.5 * error + 1e-9).all())
    assert bool((error < 0.3 * exact.abs().max()).all())  # or the first line would say nothing


def variance(kind: str, target: str = "logistic-regression") -> float:
    return float(estimates(kind, target, "mean-field")[0].var(0).sum())


def test_variances_are_ordered() -> None:
    assert variance("reparametrised") < variance("score-cv") < variance("score")
    assert variance("score-rb") < variance("score")
    assert variance("score-rb-cv") < variance("score-cv")
    assert variance("stl") < variance("score-cv")


def test_sticking_the_landing_has_no_variance_at_the_posterior() -> None:
    target, family = make("linear-gaussian", "full")
    assert isinstance(target, LinearGaussian)
    assert isinstance(family, GaussianFamily)
    exact = target.posterior()
    family.set_moments(exact.mean[0], torch.cholesky_inverse(exact.chol[0]))
    noise = {
        kind: float(gradient_variance(GRADIENTS.get(kind)(), target, family, k=4, repeats=30).sum())
        for kind in ("stl", "reparametrised")
    }
    assert noise["stl"] < 1e-15
    assert noise["reparametrised"] > 1e-3


@pytest.mark.parametrize("kind", ["reparametrised", "score-cv"])
def test_more_samples_and_larger_batches_have_less_variance(kind: str) -> None:
    target, family = make("bayesian-mixture", "mean-field", sd=0.3)
    estimator = GRADIENTS.get(kind)()

    def noise(k: int, batch: int) -> float:
        return float(gradient_variance(estimator, target, family, k, batch, repeats=150).sum())

    assert noise(40, 0) < 0.5 * noise(10, 0)
    assert noise(40, 15) < 0.5 * noise(40, 3)
    assert noise(40, 0) < noise(40, 15)
    # Without replacement, the variance of a mean over M of N points falls as (N - M) / (M (N - 1)).
    many = [noise(400, m) for m in (2, 10)]
    assert many[0] / many[1] == pytest.approx((28 / 2) / (20 / 10), rel=0.35)


def test_scores_are_those_of_each_sample() -> None:
    _, family = make("banana", "full")
    q = family.density()
    z = torch.randn(5, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = scores(q.log_prob(z)[:, 0], family)
    for k in range(5):
        alone = torch.autograd.grad(family.density().log_prob(z[k : k + 1])[0, 0], tuple(family.parameters()))
        assert torch.allclose(together[k], torch.cat([part.reshape(-1) for part in alone]))
