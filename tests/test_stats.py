"""Means with standard errors, and rank correlations, against scipy and against repeated sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from gpvae_core.errors import UserError
from gpvae_core.stats import mean_se, spearman


def scipy_rho(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.asarray(scipy_stats.spearmanr(a, b))[0])


def test_mean_and_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    actual = mean_se([*values, math.nan, math.inf])
    assert actual["n"] == 50
    assert actual["mean"] == pytest.approx(np.mean(values))
    assert actual["se"] == pytest.approx(scipy_stats.sem(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {"mean": None, "se": None, "n": 0}),
        ([math.nan], {"mean": None, "se": None, "n": 0}),
        ([2.0], {"mean": 2.0, "se": None, "n": 1}),
    ],
)
def test_too_few_values_give_none(values: list[float], expected: dict[str, float | None]) -> None:
    assert mean_se(values) == expected


@pytest.mark.parametrize("digits", [0, 8], ids=["ties", "no ties"])
@pytest.mark.parametrize("sign", [1, -1])
def test_correlation_is_scipys(digits: int, sign: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=80)
    b = sign * a + rng.normal(size=80)
    a, b = np.round(a, digits), np.round(b, digits)
    rho, low, high = spearman(a, b)
    assert rho == pytest.approx(scipy_rho(a, b))
    assert low < rho < high


def test_interval_is_scipys_percentile_bootstrap() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=60)
    b = a + rng.normal(size=60)

    expected = scipy_stats.bootstrap(
        (a, b), scipy_rho, paired=True, vectorized=False, n_resamples=4_000, method="percentile", rng=rng
    ).confidence_interval
    _, low, high = spearman(a, b, n_boot=4_000)
    assert low == pytest.approx(expected.low, abs=0.02)
    assert high == pytest.approx(expected.high, abs=0.02)


def test_interval_covers_the_truth() -> None:
    """For a Gaussian pair with correlation r Spearman's is 6/pi asin(r/2); 95 % of the intervals hold it."""
    truth, rng = 6 / math.pi * math.asin(0.25), np.random.default_rng(3)
    held = 0
    for seed in range(200):
        a = rng.normal(size=100)
        _, low, high = spearman(a, 0.5 * a + math.sqrt(0.75) * rng.normal(size=100), n_boot=300, seed=seed)
        held += low <= truth <= high
    assert 0.88 <= held / 200 <= 0.99


def test_pairs_without_a_value_are_left_out() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=30), rng.normal(size=30)
    with_gaps = spearman([*a, math.nan, 1.0], [*b, 2.0, math.inf])
    assert with_gaps == spearman(a, b)


@pytest.mark.parametrize("b", [[1.0, 1.0, 1.0, 1.0], [1.0, math.nan, math.nan, 2.0]], ids=["constant", "two pairs"])
def test_nothing_to_correlate_is_nan(b: list[float]) -> None:
    assert all(math.isnan(v) for v in spearman([1.0, 2.0, 3.0, 4.0], b))


def test_seed_decides_the_interval() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=40), rng.normal(size=40)
    assert spearman(a, b, seed=1) == spearman(a, b, seed=1)
    assert spearman(a, b, seed=1)[1:] != spearman(a, b, seed=2)[1:]


def test_lengths_must_agree() -> None:
    with pytest.raises(UserError, match="same length"):
        spearman([1.0, 2.0, 3.0], [1.0, 2.0])
