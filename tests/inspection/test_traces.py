"""View 3 and MAPA's points against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gpvae_core.errors import UserError
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.traces import kl, traces
from tests.inspection.conftest import LinearRun, log_normal


def posterior_of(linear: LinearRun, index: int) -> tuple[np.ndarray, np.ndarray]:
    x = linear.run.data.test.pixels([index])
    return linear.oracle.posterior_mean(x)[0].numpy(), linear.oracle.posterior_covariance.numpy()


def test_both_estimate_the_true_log_density_when_codes_are_prior_draws(linear_run: Callable[..., LinearRun]) -> None:
    """Noise-free images: MAPA with bandwidth sigma_x is then the same as eq. 7.

    What is left is the Monte Carlo error of log p(x) over N codes, one constant for the image.
    """
    linear = linear_run(2, n_train=20_000, sigma_x=1.0)
    explorer = Explorer(linear.run)
    view = explorer.traces_view(explorer.instance(0))
    mean, covariance = posterior_of(linear, 0)
    z = np.stack([trace.z for trace in view.traces], axis=-1)
    assert len(z) == 400
    exact = log_normal(z, mean, covariance)
    for trace in view.traces:
        np.testing.assert_allclose(trace.empirical, exact, atol=0.1)
        np.testing.assert_allclose(trace.mapa, trace.empirical, atol=0.02)
    assert view.bandwidth == pytest.approx(1.0)
    assert view.bandwidth_source == "sigma_x of the likelihood"
    assert abs(view.kl_mapa) < 1e-3
    # KL(p || uniform) = log N - H(p), of p(i|n) in proportion to N(x; W z_i + bias, sigma_x^2)
    x = linear.run.data.test.pixels([0]).double().flatten(1)
    log_p = -0.5 * (x - linear.train_z @ linear.oracle.w.T - linear.oracle.bias).square().sum(1)
    log_p = (log_p - log_p.logsumexp(0)).numpy()
    assert view.kl_uniform == pytest.approx(np.log(20_000) + np.sum(np.exp(log_p) * log_p), abs=1e-3)


def test_line_is_the_profile_at_two_dimensions(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(2)
    explorer = Explorer(linear.run)
    view = explorer.traces_view(explorer.instance(1))
    mean, covariance = posterior_of(linear, 1)
    top = -0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    for j, trace in enumerate(view.traces):
        exact = top - 0.5 * (trace.line_z - mean[j]) ** 2 / covariance[j, j]
        np.testing.assert_allclose(trace.line, exact, atol=0.15)
        assert (np.diff(trace.line_z) > 0).all()
    assert "profile" in view.note


@pytest.mark.parametrize("annealed", [True, False], ids=["annealing", "a quick bound"])
def test_line_is_the_slice_through_the_mode_above(linear_run: Callable[..., LinearRun], annealed: bool) -> None:
    """It is log p(x, z) - log p(x), with log p(x) by annealing once that is known, before that by a lower bound."""
    linear = linear_run(3, invert=False)
    explorer = Explorer(linear.run)
    if annealed:
        explorer.best_gaussian(explorer.instance(1))
    view = explorer.traces_view(explorer.instance(1))
    mean, covariance = posterior_of(linear, 1)
    precision = np.linalg.inv(covariance)
    top = -0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    known = explorer.gap_view(explorer.instance(1))
    error = float(linear.oracle.log_px(linear.run.data.test.pixels([1]))[0]) - known.log_px
    assert known.log_px_truth == ("ais" if annealed else "iwae")
    assert known.log_px_se is not None
    assert abs(error) < 4 * known.log_px_se + 1e-3
    assert abs(error) < (0.14 if annealed else 0.5)
    assert len(view.traces) == 3
    assert "slice" in view.note
    for j, trace in enumerate(view.traces):
        exact = top - 0.5 * precision[j, j] * (trace.line_z - mean[j]) ** 2
        np.testing.assert_allclose(trace.line, exact + error, atol=0.01)


def test_points_are_those_with_most_mapa_probability(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(2, n_train=300, sigma_x=0.3)
    explorer = Explorer(linear.run)
    for index in range(4):
        view = explorer.posterior_view(explorer.instance(index))
        train = linear.run.data.train.pixels().flatten(1).double().numpy()
        x = linear.run.data.test.pixels([index]).flatten().double().numpy()
        log_k = -0.5 * ((train - x) ** 2).sum(1) / 0.3**2
        q = np.exp(log_k - log_k.max())
        q /= q.sum()
        order = np.argsort(-q)
        n = min(int((np.cumsum(q[order]) < 0.99).sum()) + 1, 60)
        np.testing.assert_allclose(view.mapa_weights, q[order[:n]], rtol=1e-3)
        np.testing.assert_allclose(view.mapa_points, linear.train_z.numpy()[order[:n]], atol=1e-3)


def test_kl_is_a_sum_over_indices() -> None:
    p, q = np.array([0.5, 0.25, 0.25, 0.0]), np.array([0.25, 0.25, 0.4, 0.1])
    with np.errstate(divide="ignore"):
        actual = kl(np.log(p), np.log(q))
    assert actual == pytest.approx(0.5 * np.log(2) + 0.25 * np.log(0.25 / 0.4))


def test_far_points_are_left_out() -> None:
    line = (np.linspace(-1, 1, 5), np.array([-80.0, -3.0, 0.0, -3.0, -80.0]))
    empirical, mapa = np.array([-1.0, -50.0, -200.0]), np.array([-40.0, -2.0, -90.0])
    (trace,) = traces([line], np.array([[0.1], [0.2], [0.3]]), empirical, mapa)
    np.testing.assert_array_equal(trace.z, [0.1, 0.2])
    np.testing.assert_array_equal(trace.empirical, [-1.0, np.nan])
    np.testing.assert_array_equal(trace.mapa, [np.nan, -2.0])
    np.testing.assert_array_equal(trace.line_z, [-0.5, 0.0, 0.5])


def test_bandwidth_from_validation_images(linear_run: Callable[..., LinearRun]) -> None:
    explorer = Explorer(linear_run(2).run)
    instance = explorer.instance(0)
    view = explorer.traces_view(instance, "validation")
    assert view.bandwidth_source == "chosen on validation images"
    assert 0.1 < view.bandwidth < 2.0  # the images' noise is 0.5
    with pytest.raises(UserError, match="did you mean 'sigma_x'"):
        explorer.traces_view(instance, "sigma")  # pyright: ignore[reportArgumentType]
