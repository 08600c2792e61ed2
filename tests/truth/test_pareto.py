"""k-hat of generalised Pareto draws of known shape; the effective sample size; the error of a log mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import genpareto

from gpvae_core.truth.pareto import effective_sample_size, log_mean_error, pareto_k, pareto_shape, tail_size


@pytest.mark.parametrize("shape", [-0.3, 0.1, 0.5, 0.9, 1.5])
def test_the_shape_of_pareto_draws(shape: float) -> None:
    draws = genpareto(shape, scale=3.0).rvs(size=(20, 4000), random_state=np.random.default_rng(0))
    actual = pareto_shape(torch.tensor(np.sort(draws, axis=1).T)).numpy()
    spread = (1 + shape) / math.sqrt(4000)  # the asymptotic standard error of the maximum likelihood estimate
    assert np.mean(actual) == pytest.approx(shape, abs=4 * spread / math.sqrt(20) + 0.005)
    assert np.std(actual) == pytest.approx(spread, rel=0.5)


def test_the_fit_is_near_scipys_maximum_of_the_likelihood() -> None:
    draws = np.sort(genpareto(0.6).rvs(size=500, random_state=np.random.default_rng(1)))
    assert pareto_shape(torch.tensor(draws)[:, None]).item() == pytest.approx(genpareto.fit(draws, floc=0)[0], abs=0.03)


@pytest.mark.parametrize("width", [0.5, 0.7, 0.9])
def test_k_hat_of_a_gaussian_that_is_too_narrow(width: float) -> None:
    """w = p(z)/q(z) with q narrower by `width` has P(w > t) ~ t^(-1/k) up to logarithms, k = 1 - width^2."""
    generator = torch.Generator().manual_seed(0)
    z = width * torch.randn(200_000, 4, generator=generator, dtype=torch.float64)
    log_w = -0.5 * z.square() + 0.5 * (z / width).square() + math.log(width)
    assert pareto_k(log_w).mean().item() == pytest.approx(1 - width**2, abs=0.1)


def test_k_hat_ignores_the_scale_and_is_of_each_instance() -> None:
    log_w = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 1.0, 4.0])
    k = pareto_k(log_w)
    torch.testing.assert_close(pareto_k(log_w.double() - 900.0), k, atol=1e-4, rtol=0)
    assert k[0] < k[1] < 0.7 < k[2]
    torch.testing.assert_close(pareto_k(log_w[:, 1:2])[0], k[1])
    many = pareto_k(log_w.repeat(1, 50))
    torch.testing.assert_close(many, k.repeat(50))


def test_k_hat_at_the_edges() -> None:
    assert tail_size(5000) == 213
    assert pareto_k(torch.zeros(20, 1)).isnan().all(), "four weights are no tail"
    assert pareto_k(torch.zeros(1000, 1)).item() == -math.inf
    one_holds_all = torch.zeros(1000, 1)
    one_holds_all[3] = 900.0
    assert pareto_k(one_holds_all).item() > 0.7
    one_holds_all[3] = math.inf
    assert pareto_k(one_holds_all).item() == math.inf


def test_effective_sample_size() -> None:
    """Equal weights count fully, m of K equal ones count m, a log-normal's count K / e^(s^2)."""
    log_w = torch.full((100, 2), -800.0)
    log_w[40:, 1] = -math.inf
    torch.testing.assert_close(effective_sample_size(log_w), torch.tensor([100.0, 40.0]).double())
    normal = 0.5 * torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert effective_sample_size(normal).item() == pytest.approx(400_000 / math.exp(0.25), rel=0.01)


def test_the_error_of_a_log_mean_is_its_spread_over_repetitions() -> None:
    generator = torch.Generator().manual_seed(0)
    log_w = 0.5 * torch.randn(400, 3000, generator=generator, dtype=torch.float64)
    estimates = torch.logsumexp(log_w, 0) - math.log(400)
    assert log_mean_error(log_w).mean().item() == pytest.approx(estimates.std().item(), rel=0.05)
    assert log_mean_error(log_w[:1]).isnan().all()


@pytest.mark.parametrize(("k", "outside", "far"), [(16, 0.083, 0.003), (64, 0.06, 0.0005)])
def test_how_often_an_interval_of_few_weights_covers(k: int, outside: float, far: float) -> None:
    """Log-normal weights of mean 1 with sd(log w) = 0.5, as AIS has at d = 10: what the docstring says."""
    log_w = 0.5 * torch.randn(k, 200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.125
    z = (torch.logsumexp(log_w, 0) - math.log(k)) / log_mean_error(log_w)
    assert float((z.abs() > 1.96).double().mean()) == pytest.approx(outside, abs=0.004)
    assert float((z.abs() > 4).double().mean()) == pytest.approx(far, abs=0.0006)
    assert float((z < -3).double().mean()) > 4 * float((z > 3).double().mean())


def test_few_weights_draw_k_hat_towards_a_half() -> None:
    """As if ten more weights had shown a shape of 1/2 (Vehtari et al. 2024); the tail is picked by hand."""
    weights = torch.rand(40, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    largest = weights[:, 0].sort().values[-9:]
    raw = pareto_shape((largest[1:] - largest[0])[:, None]).item()
    assert raw < 0.1
    assert pareto_k(weights.log()).item() == pytest.approx((8 * raw + 10 * 0.5) / 18, rel=1e-9)


@pytest.mark.parametrize("scale", [3e-3, 1e-3, 5e-4])
def test_tied_weights_have_the_shape_of_the_weights_that_were_rounded(scale: float) -> None:
    """A good proposal's log p(x, z) - log q(z), rounded to float32 at 4,000 nats: many weights equal the threshold."""
    log_w = scale * torch.randn(5000, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rounded = (log_w + 4000.0).float()
    top = rounded.sort(dim=0, descending=True).values
    threshold = top[tail_size(5000)]
    assert (((rounded == threshold) & (rounded < top[0])).sum(0) > 10).all(), "the test tests ties"
    assert (pareto_k(rounded) - pareto_k(log_w)).abs().max() < 0.4
    assert (pareto_k(rounded) < 0.1).all()


def test_k_hat_of_a_few_levels_is_that_of_a_bounded_tail() -> None:
    """Weights of 1 and 2 have all moments, however rare the 2; only where nearly none is above is the tail unknown."""
    weights = torch.ones(5000, 3, dtype=torch.float64)
    weights[:100, 0], weights[:7, 1], weights[:3, 2] = 2.0, 2.0, 2.0
    rare, rarer, unknown = pareto_k(weights.log()).tolist()
    assert rare < 0
    assert rarer < 0.7
    assert unknown == math.inf
    weights[3000:] = 0.5
    assert pareto_k(weights.log())[2].item() < 0, "three above two thousand that are tied"


def test_samples_outside_the_support_are_no_ties() -> None:
    """Of 5,000 weights 100 are positive, uniform on [0, 1]: a bounded tail, of shape -1."""
    log_w = torch.full((5000, 1), -math.inf, dtype=torch.float64)
    log_w[:100, 0] = torch.rand(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log()
    raw = -1.0
    assert pareto_k(log_w).item() == pytest.approx((100 * raw + 10 * 0.5) / 110, abs=0.25)
