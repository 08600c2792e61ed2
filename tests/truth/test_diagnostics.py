"""R-hat and effective sample size against autoregressions, whose autocorrelations are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from gpvae_core.errors import UserError
from gpvae_core.truth.diagnostics import bulk_ess, ess, split_r_hat


def autoregression(rho: float, chains: int, draws: int, seed: int = 0) -> np.ndarray:
    """x_t = rho x_{t-1} + sqrt(1 - rho^2) noise, stationary."""
    noise = np.random.default_rng(seed).standard_normal((chains, draws))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=1))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.9])
def test_ess_of_an_autoregression(rho: float) -> None:
    """1 + 2 sum rho^t = (1 + rho) / (1 - rho)."""
    several = [autoregression(rho, 4, 10_000, seed) for seed in range(20)]
    expected = 40_000 * (1 - rho) / (1 + rho)
    assert np.mean([ess(chains) for chains in several]) == pytest.approx(expected, rel=0.05)
    assert np.mean([bulk_ess(chains) for chains in several]) == pytest.approx(expected, rel=0.05)
    assert max(split_r_hat(chains) for chains in several) < 1.01


def test_ess_is_the_variance_of_the_mean() -> None:
    """Over many repetitions: Var(mean) = Var(x) / ess."""
    means = [autoregression(0.7, 2, 500, seed).mean() for seed in range(400)]
    actual = np.mean([ess(autoregression(0.7, 2, 500, seed)) for seed in range(40)])
    assert actual == pytest.approx(1 / np.var(means), rel=0.15)


def test_a_stuck_chain_has_a_large_r_hat_and_few_effective_draws() -> None:
    chains = autoregression(0.0, 4, 500)
    stuck = chains.copy()
    stuck[0] = 2.0 + 1e-9 * chains[0]
    assert split_r_hat(chains) < 1.01
    assert split_r_hat(stuck) > 1.2
    assert bulk_ess(stuck) < 20
    assert split_r_hat(np.repeat([[0.0], [1.0]], 50, axis=1)) == np.inf
    assert np.isnan(split_r_hat(np.zeros((2, 50))))


def test_r_hat_sees_drift_and_chains_that_differ_in_spread_alone() -> None:
    chains = autoregression(0.0, 4, 1000)
    drifting = chains + np.linspace(-1, 1, 1000)
    spread = chains * np.array([[1.0], [1.0], [1.0], [4.0]])
    assert split_r_hat(drifting) > 1.1
    assert split_r_hat(spread) > 1.05


def test_r_hat_is_the_ratio_of_variances_for_normal_draws() -> None:
    """Chains shifted by delta: sqrt(1 + Var(shifts)), nearly, as halves are long and ranks keep normal draws normal."""
    shifts = np.array([[-0.5], [0.5], [-0.5], [0.5]])
    chains = autoregression(0.0, 4, 20_000) + shifts
    halves = np.repeat(shifts, 2)
    assert split_r_hat(chains) == pytest.approx(np.sqrt(1 + halves.var(ddof=1)), rel=0.01)


def test_heavy_tails_and_monotone_maps_change_nothing() -> None:
    """Ranks only: a Cauchy chain is as good as a normal one."""
    chains = autoregression(0.5, 4, 1000)
    assert bulk_ess(np.exp(5 * chains)) == pytest.approx(bulk_ess(chains), rel=1e-9)


def test_too_few_draws_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="at least 4 draws"):
        split_r_hat(np.zeros((4, 3)))
