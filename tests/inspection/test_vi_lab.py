"""The VI Lab's computations: divergences against closed forms, the noise of gradients, the files."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from gpvae_core.errors import UserError
from gpvae_core.inspection.vi_lab import export
from gpvae_core.inspection.vi_lab.lab import VILab, fitted
from gpvae_core.vi.inference import VISettings
from tests.tidy import tidy

MIXTURE = "mixture,components=-2:-1:0.7:0.6 2:1.2:0.6:0.4"
WIDE = "mixture,components=0:0:2:1"


@pytest.fixture(scope="module")
def lab() -> VILab:
    return VILab()


def settings(target: str, method: str = "black-box:16", **more: Any) -> VISettings:
    return VISettings(**{"target": target, "family": "full", "method": method, "steps": 2, **more})


def gaussian_kl(m: np.ndarray, a: np.ndarray, n: np.ndarray, b: np.ndarray) -> float:
    """KL(N(m, A) || N(n, B))."""
    difference = n - m
    inverse = np.linalg.inv(b)
    log_det = np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1]
    return 0.5 * float(np.trace(inverse @ a) + difference @ inverse @ difference - len(m) + log_det)


def test_both_directions_of_the_kl_are_those_of_gaussians(lab: VILab) -> None:
    path = lab.path(settings("correlated", start=(0.4, -0.3), start_sd=0.8)).path
    p, q = np.array([[1.0, 0.9], [0.9, 1.0]]), 0.64 * np.eye(2)
    start, zero = np.array([0.4, -0.3]), np.zeros(2)
    assert path.divergences["reverse-kl"][0] == pytest.approx(gaussian_kl(start, q, zero, p), abs=1e-3)
    assert path.divergences["forward-kl"][0] == pytest.approx(gaussian_kl(zero, p, start, q), abs=1e-3)
    np.testing.assert_allclose(path.elbo, path.log_px - path.divergences["reverse-kl"])


def test_cubo_is_that_of_gaussians_and_is_left_out_where_its_integral_has_no_value(lab: VILab) -> None:
    a, b = 4.0, 9.0  # variances of p and q
    each = math.sqrt(b) / (a * math.sqrt(2 / a - 1 / b))  # int p^2 / q of one coordinate
    wide = lab.path(settings(WIDE, start=(0.0, 0.0), start_sd=3.0, steps=0)).path
    assert wide.cubo[0] == pytest.approx(wide.log_px + 0.5 * 2 * math.log(each), abs=1e-3)
    narrow = lab.path(settings(WIDE, start=(0.0, 0.0), start_sd=1.0, steps=0)).path
    assert math.isnan(narrow.cubo[0]), "p^2 / q grows without bound where q has half the variance of p or less"
    assert narrow.divergences["forward-kl"][0] == pytest.approx(2 * (math.log(1 / 2) + 4 / 2 - 1 / 2), abs=1e-2)


def test_a_density_that_the_grid_does_not_resolve_has_no_divergence(lab: VILab) -> None:
    path = lab.path(settings(WIDE, start=(0.0, 0.0), start_sd=0.02, steps=0)).path
    assert all(np.isnan(values[0]) for values in path.divergences.values())


def test_reverse_kl_seeks_a_mode_and_forward_kl_covers_both(lab: VILab) -> None:
    shared = {"start": (-0.5, 0.0), "steps": 100}
    seeking = lab.path(settings(MIXTURE, "black-box:64", **shared)).path
    covering = lab.path(settings(MIXTURE, "black-box:64,divergence=forward-kl", **shared)).path
    # q is one component of weight 0.6: KL(q || p) = -log 0.6.
    assert seeking.divergences["reverse-kl"][-1] == pytest.approx(-math.log(0.6), abs=0.03)
    np.testing.assert_allclose(seeking.outlines[-1].centre, [-2.0, -1.0], atol=0.1)
    assert covering.divergences["forward-kl"][-1] < 0.7 < 5 < seeking.divergences["forward-kl"][-1]
    # the best Gaussian in the forward direction has the posterior's mean
    np.testing.assert_allclose(
        covering.outlines[-1].centre, 0.6 * np.array([-2, -1]) + 0.4 * np.array([2, 1.2]), atol=0.4
    )


def test_the_window_holds_the_posterior_and_the_start(lab: VILab) -> None:
    view = lab.path(settings("banana", start=(2.0, 4.0), start_sd=0.5))
    truth = view.truth
    assert truth.x[0] < -2.5 < 2.5 < truth.x[-1]
    assert truth.y[-1] > 4.0 + 2 * 0.5
    mass = np.exp(truth.log_density).sum() * (truth.x[1] - truth.x[0]) * (truth.y[1] - truth.y[0])
    assert mass == pytest.approx(1.0, abs=1e-3)


def test_a_method_that_refuses_the_target_leaves_the_other_one(lab: VILab) -> None:
    refused, taken = settings("banana", "cavi"), settings("banana")
    view = lab.steps({"A": refused, "B": taken}, "reverse-kl")
    assert list(view.paths) == ["B"]
    with pytest.raises(UserError, match="conditionals are Gaussian"):
        lab.steps({"A": refused, "B": refused}, "reverse-kl")
    with pytest.raises(UserError, match="no divergence 'stein' by quadrature"):
        lab.steps({"B": taken}, "stein")
    with pytest.raises(UserError, match="2 latents"):
        lab.path(settings("bayesian-mixture,components=3", "svi:5"))


def test_what_one_inference_minimises_is_computed_for_both(lab: VILab) -> None:
    both = {"A": settings("banana", "black-box:16,divergence=renyi:0.3"), "B": settings("banana", "stein-particles:5")}
    assert fitted(both.values()) == ("renyi:0.3",)
    view = lab.steps(both, "renyi:0.3")
    assert np.isfinite(view.paths["A"].divergences["renyi:0.3"]).all()
    particles = view.paths["B"]
    assert particles.particles.shape == (3, 5, 2)
    assert particles.outlines == ()
    assert np.isnan(particles.elbo).all()
    assert particles.settings == "stein-particles:5", "particles are of no family"


def test_the_weighted_bound_rises_from_the_elbo_and_its_bias_falls_as_one_over_k(lab: VILab) -> None:
    one = settings(WIDE, start=(0.0, 0.0), start_sd=3.0, steps=0)
    view = lab.sampled_bounds({"A": one, "B": settings("banana", "stein-particles:5")})
    assert list(view.bounds) == ["A"], "particles have no density"
    bound = view.bounds["A"]
    elbo = lab.path(one).path.elbo[0]
    assert bound[0].mean == pytest.approx(elbo, abs=5 * (bound[0].se or 0.0))
    assert all(a.mean < b.mean for a, b in itertools.pairwise(bound))
    # E[w^2] / p(x)^2 - 1 of these Gaussians, twice over K is the bias
    a, b = 4.0, 9.0
    variance = (math.sqrt(b) / (a * math.sqrt(2 / a - 1 / b))) ** 2 - 1.0
    assert view.log_px - bound[-1].mean == pytest.approx(variance / 2 / 64, abs=4 * (bound[-1].se or 0.0))
    with pytest.raises(UserError, match="no density and so no bound"):
        lab.sampled_bounds({"B": settings("banana", "stein-particles:5")})
    with pytest.raises(UserError, match="conditionals are Gaussian"):
        lab.sampled_bounds({"A": settings("banana", "cavi")})


def test_noise_falls_with_samples_and_a_batch_of_all_data_adds_none(lab: VILab) -> None:
    one = settings("bayesian-mixture:6", "svi:3", family="mean-field")
    by_samples = lab.noise(one, "samples", at_end=False, repeats=60)
    by_batch = lab.noise(one, "batch", at_end=True, repeats=30)
    assert set(by_samples.variances) >= {"reparametrised", "score", "score-rb", "stl"}
    assert by_samples.left_out == ()
    for values in (by_samples.variances["reparametrised"], by_samples.variances["score"]):
        ratio = values[0] / values[-1]
        assert 0.5 < ratio / (by_samples.sizes[-1] / by_samples.sizes[0]) < 2.0, "the variance is as 1 / K"
    end = lab.noise(one, "samples", at_end=True, repeats=30)
    at_32 = list(end.sizes).index(32)
    for name, values in by_batch.variances.items():
        assert values[-1] == end.variances[name][at_32], "a batch of all data points is no batch"
    assert by_batch.sizes[-1] == 6
    assert by_batch.variances["reparametrised"][0] > 3 * by_batch.variances["reparametrised"][-1]


def test_noise_is_of_methods_with_parameters_and_of_targets_with_data(lab: VILab) -> None:
    assert lab.noise(settings("banana"), "samples", at_end=False, repeats=4).left_out == ("score-rb", "score-rb-cv")
    with pytest.raises(UserError, match="no data points"):
        lab.noise(settings("banana"), "batch", at_end=False)
    with pytest.raises(UserError, match="no parameters of q"):
        lab.noise(settings("banana", "stein-particles:5"), "samples", at_end=False, repeats=4)


def test_files_are_tidy_tables(lab: VILab) -> None:
    path = lab.path(settings("banana"))
    rows = tidy(export.path(path))
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[0]["reverse-kl_nats"] == path.path.divergences["reverse-kl"][0]
    cloud = tidy(export.path(lab.path(settings("banana", "stein-particles:5"))))
    assert [(row["step"], row["particle"]) for row in cloud[4:6]] == [(0, 4), (1, 0)]
    steps = tidy(export.steps(lab.steps({"A": settings("banana")}, "forward-kl")))
    assert set(steps[0]) >= {"inference", "log_px_nats", "elbo_nats", "cubo_nats", "forward-kl_nats"}
    sampled = tidy(export.sampled_bounds(lab.sampled_bounds({"A": settings("banana")})))
    assert [row["samples"] for row in sampled] == [1, 2, 4, 8, 16, 32, 64]
    noise = tidy(export.noise(lab.noise(settings("banana"), "samples", at_end=False, repeats=4)))
    assert {row["samples"] for row in noise} == {4, 8, 16, 32, 64, 128}
