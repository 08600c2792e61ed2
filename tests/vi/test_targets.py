"""Targets of variational inference: log densities by hand, exact posteriors, and truth by quadrature and HMC."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.errors import UserError
from gpvae_core.part_text import parse_part, part_text
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.posterior_samples import HMCSettings
from gpvae_core.truth.truth import truth_for
from gpvae_core.vi.inference import hmc_posterior
from gpvae_core.vi.targets.base import TARGETS, VITarget
from gpvae_core.vi.targets.bayesian_mixture import BayesianMixture, BayesianMixtureConfig
from gpvae_core.vi.targets.linear_gaussian import LinearGaussianConfig
from gpvae_core.vi.targets.logistic_regression import LogisticRegressionConfig

Z = torch.tensor([[0.3, -1.2], [1.5, 0.4], [-0.7, 2.0]], dtype=torch.float64)


CHAINS = HMCSettings(warmup=80, draws=450, leapfrog=3)


def log_evidence(target: VITarget) -> float:
    return float(truth_for(target).log_px(target.x).log_px[0])


def log_normal(x: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """log N(x; 0, covariance) by the Cholesky factor."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, x)
    return float(-0.5 * white @ white - np.log(np.diag(factor)).sum() - 0.5 * len(x) * math.log(2 * math.pi))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_linear_gaussian_model_is_that_of_its_formula() -> None:
    target = LinearGaussianConfig(n=7, sigma=0.7, prior_std=1.5).build()
    a, y = target.a.numpy(), target.y.numpy()
    joint = [norm.logpdf(y, a @ z, 0.7).sum() + norm.logpdf(z, 0, 1.5).sum() for z in Z.numpy()]
    assert target.log_density(Z).tolist() == pytest.approx(joint)
    evidence = log_normal(y, 1.5**2 * a @ a.T + 0.49 * np.eye(7))
    assert target.log_evidence() == pytest.approx(evidence)
    # Bayes: log p(z|y) = log p(y, z) - log p(y) at any z
    assert target.posterior().log_prob(Z[:, None])[:, 0].tolist() == pytest.approx(np.array(joint) - evidence)
    assert log_evidence(target) == pytest.approx(evidence, abs=1e-6)


def test_logistic_regression_is_that_of_its_formula() -> None:
    target = LogisticRegressionConfig(n=6).build()
    a, labels = target.a.numpy(), target.labels.numpy()
    joint = [np.log(expit(labels * (a @ z))).sum() + norm.logpdf(z, 0, 3).sum() for z in Z.numpy()]
    assert target.log_density(Z).tolist() == pytest.approx(joint)
    u, v = np.meshgrid(*[np.linspace(-15, 15, 601)] * 2)
    logits = labels[:, None, None] * (a[:, :1, None] * u + a[:, 1:, None] * v)
    whole = (expit(logits).prod(0) * norm.pdf(u, 0, 3) * norm.pdf(v, 0, 3)).sum() * 0.05**2
    assert log_evidence(target) == pytest.approx(math.log(whole), abs=1e-3)


def test_the_bayesian_mixture_sums_over_all_assignments() -> None:
    """Exact posterior of the means on four points: a mixture of Gaussians, one for each of 2^4 assignments."""
    target = BayesianMixtureConfig(n=4, prior_std=2.0).build()
    x = target.data.numpy()
    parts = []
    for c in itertools.product(range(2), repeat=4):
        member = np.eye(2)[list(c)]
        covariance = 4.0 * member @ member.T + np.eye(4)  # of x, given c
        parts.append(log_normal(x, covariance) - 4 * math.log(2))
    assert log_evidence(target) == pytest.approx(float(np.logaddexp.reduce(parts)), abs=1e-4)
    by_hand = [
        np.log(0.5 * norm.pdf(x, z[0]) + 0.5 * norm.pdf(x, z[1])).sum() + norm.logpdf(z, 0, 2).sum() for z in Z.numpy()
    ]
    assert target.log_density(Z).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("kind", sorted(TARGETS.summaries()))
def test_every_target_has_a_checked_truth_and_unbiased_batches(kind: str) -> None:
    target = TARGETS.get(kind)().build()
    posterior = truth_for(target).posterior(target.x)[0]
    assert posterior.passed
    batches = [torch.tensor([i]) for i in range(target.n)]
    mean = torch.stack([target.log_density(Z, index) for index in batches]).mean(0)
    assert torch.allclose(mean, target.log_density(Z))
    # The terms that depend on one latent differ from the log density by terms that do not.
    moved = Z.clone()
    moved[:, 0] += 0.5
    difference = target.log_density(moved) - target.log_density(Z)
    assert torch.allclose((target.log_factors(moved) - target.log_factors(Z))[:, 0], difference)


@pytest.mark.parametrize("kind", ["correlated", "banana", "ring", "mixture"])
def test_densities_on_the_plane_integrate_to_one(kind: str) -> None:
    """The ring is normalised in its radius alone: its mass is 2 pi times the mean radius."""
    expected = math.log(2 * math.pi * 2.0) if kind == "ring" else 0.0
    assert log_evidence(TARGETS.get(kind)().build()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["linear-gaussian", "bayesian-mixture", "logistic-regression"])
def test_expected_derivatives_are_those_of_the_expected_log_joint(kind: str) -> None:
    """By finite differences of E_q[log p(x, z)] in the mean and in the covariance of q (Bonnet, Price)."""
    target = TARGETS.get(kind)().build()
    m, chol = torch.tensor([[0.4, -0.6]]).double(), torch.tensor([[[0.5, 0.0], [0.0, 0.3]]]).double()
    q = FullGaussian(m, chol)
    gradient, hessian = target.expected_derivatives(q, None, generator())
    index = torch.arange(target.n // 2)
    assert not torch.allclose(target.expected_derivatives(q, index, generator())[0], gradient)

    def energy(m: torch.Tensor) -> float:
        if target.conjugate:
            moved = FullGaussian(m[None], chol)
            return float(target.bound(moved) + target.kl_to_prior(moved) + _log_prior(target, moved))
        z = m + (chol @ torch.randn(64, 1, 2, generator=generator(), dtype=torch.float64).unsqueeze(-1))[:, 0, :, 0]
        return float(target.log_density(z).mean())

    h = 1e-4
    for j in range(2):
        step = h * torch.eye(2).double()[j]
        up, down, here = energy(m[0] + step), energy(m[0] - step), energy(m[0])
        assert float(gradient[j]) == pytest.approx((up - down) / (2 * h), rel=1e-4, abs=1e-4)
        if kind != "bayesian-mixture":  # whose assignments move with the mean: H is that at fixed assignments
            assert float(hessian[j, j]) == pytest.approx((up - 2 * here + down) / h**2, rel=1e-3)


def _log_prior(target: VITarget, q: FullGaussian) -> torch.Tensor:
    """E_q[log p(z)] of N(0, s^2 I)."""
    s2 = float(target.prior_std) ** 2
    square = q.mean.square().sum() + q.variance.sum()
    return -0.5 * square / s2 - math.log(2 * math.pi * s2)


def test_hmc_has_the_moments_of_quadrature() -> None:
    target = LogisticRegressionConfig(n=10).build()
    samples, grid = hmc_posterior(target, CHAINS), truth_for(target).posterior(target.x)[0]
    assert isinstance(grid, GridPosterior)
    assert samples.mixed.all()
    z = samples.z.reshape(-1, 2).numpy()
    error = z.std(0) / np.sqrt(samples.ess[0])
    assert np.all(np.abs(z.mean(0) - grid.mean) < 4 * error)
    assert np.cov(z.T) == pytest.approx(grid.covariance, rel=0.15, abs=0.1)


def test_hmc_takes_more_latents_than_quadrature() -> None:
    target = LogisticRegressionConfig(n=30, d=4).build()
    assert hmc_posterior(target, CHAINS).mixed.all()


def test_data_are_drawn_from_the_model() -> None:
    """The mean of log p(x) over data sets from the model is that of any other data minus a KL: here, of its own."""
    start = BayesianMixtureConfig(n=3, prior_std=2.0).build()
    source = generator(3)
    drawn = [start.redrawn(source) for _ in range(300)]
    data = torch.stack([target.data for target in drawn])
    assert float(data.mean()) == pytest.approx(0.0, abs=0.3)
    assert float(data.var()) == pytest.approx(2.0**2 + 1.0, rel=0.2)
    assert isinstance(drawn[0], BayesianMixture)


@pytest.mark.parametrize(
    "text",
    [
        "linear-gaussian:20", "linear-gaussian:5,sigma=0.5", "bayesian-mixture:30", "banana,bend=0.3",
        "mixture,components=0:1:0.5:1 2:2:1:0.25",
    ],
)  # fmt: skip
def test_a_text_stands_for_a_target(text: str) -> None:
    assert part_text(parse_part(text, TARGETS)) == text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("bananna", "unknown target 'bananna'; did you mean 'banana'?"),
        ("banana:3", "target 'banana' takes no number"),
        ("mixture,components=0:1:0.5", "wanted 1 to 12 components x:y:sd:weight"),
        ("mixture,components=", "wanted 1 to 12 components"),
        ("mixture,components=0:1:nan:1", "setting 'sd': input should be"),
        ("mixture,components=0:1:0:1", "setting 'sd': input should be greater than or equal to 0.1"),
        ("linear-gaussian:0", "greater than or equal to 1"),
    ],
)
def test_bad_targets_are_one_clear_line(text: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong.replace("?", r"\?")):
        parse_part(text, TARGETS)
