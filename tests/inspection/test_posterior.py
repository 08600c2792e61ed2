"""View 1 against the linear-Gaussian model's closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2

from gpvae_core.errors import UserError
from gpvae_core.inspection import contours
from gpvae_core.inspection.contours import ELLIPSE, axis, hpd_levels
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.local import local_posterior
from gpvae_core.inspection.planes import latent_plane, on_plane
from gpvae_core.inspection.views import GaussianShape, Plane
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior
from tests.inspection.conftest import LinearRun, log_normal
from tests.oracles import LinearEncoder


def truth_of(linear: LinearRun, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of p(z|x) for a test image."""
    x = linear.run.data.test.pixels([index])
    return linear.oracle.posterior_mean(x)[0].numpy(), linear.oracle.posterior_covariance.numpy()


@pytest.mark.parametrize("sigma_x", [0.5, 0.05])
def test_density_on_the_latent_plane_is_the_closed_form(linear_run: Callable[..., LinearRun], sigma_x: float) -> None:
    linear = linear_run(2, sigma_x=sigma_x)
    explorer = Explorer(linear.run)
    for index in (0, 5):
        view = explorer.posterior_view(explorer.instance(index))
        mean, covariance = truth_of(linear, index)
        u, w = np.meshgrid(view.x, view.y)
        exact = log_normal(np.stack([u, w], axis=-1), mean, covariance)
        for depth, error in ((8, 0.03), (14, 0.2)):  # further down the grid is interpolated from a coarser one
            shown = exact > exact.max() - depth
            assert shown.mean() > 0.05
            np.testing.assert_allclose(view.log_density[shown], exact[shown], atol=error)
        np.testing.assert_allclose(view.modes, mean[None], atol=0.01)
        for mass, threshold in view.hpd_levels:
            exact_threshold = exact_top(covariance) - 0.5 * chi2(2).ppf(mass)
            assert threshold == pytest.approx(exact_threshold, abs=0.1)


@pytest.mark.parametrize(("shift", "in_view"), [(0.2, True), (8.0, False)])
def test_the_window_stays_where_the_mass_is(linear_run: Callable[..., LinearRun], shift: float, in_view: bool) -> None:
    """Around a sharp posterior a near encoder opens the window, a far one is left out."""
    linear = linear_run(2, sigma_x=0.1)
    assert isinstance(linear.run.model.encoder, LinearEncoder)
    linear.run.model.encoder.shift.fill_(shift)
    explorer = Explorer(linear.run)
    view = explorer.posterior_view(explorer.instance(0))
    mean, covariance = truth_of(linear, 0)
    reach = np.sqrt(chi2(2).ppf(0.999) * np.diag(covariance))
    sides = np.array([view.x[-1] - view.x[0], view.y[-1] - view.y[0]])
    assert (2 * reach / sides).max() > 0.45
    (shape,) = view.gaussians
    assert (view.x[0] < shape.mean[0] < view.x[-1] and view.y[0] < shape.mean[1] < view.y[-1]) == in_view
    u, w = np.meshgrid(view.x, view.y)
    exact = log_normal(np.stack([u, w], axis=-1), mean, covariance)
    shown = exact > exact.max() - 14
    np.testing.assert_allclose(view.log_density[shown], exact[shown], atol=0.2)
    assert view.log_density.max() == pytest.approx(exact_top(covariance), abs=0.2)


@pytest.mark.parametrize("end", [0.5, 12.0])
def test_density_beyond_the_checked_grid_and_the_atlas(linear_run: Callable[..., LinearRun], end: float) -> None:
    linear = linear_run(2, sigma_x=0.1)
    x = linear.run.data.test.pixels([0])
    truth = linear.run.true_posterior(x[0])
    assert isinstance(truth, GridPosterior)
    mean, covariance = truth_of(linear, 0)
    wide = GaussianShape("q", mean, np.eye(2) * (end / ELLIPSE) ** 2)
    atlas = Atlas.build(linear.run.model)
    drawn = contours.latent_contours(linear.run.model, atlas, x, truth, [wide], latent_plane(), least_share=1e-3)
    assert drawn.x[-1] > mean[0] + end
    u, w = np.meshgrid(drawn.x, drawn.y)
    exact = log_normal(np.stack([u, w], axis=-1), mean, covariance)
    outside = (u > truth.x[-1]) | (w > truth.y[-1])
    assert outside.mean() > 0.1
    np.testing.assert_allclose(drawn.log_density[outside], exact[outside], rtol=1e-3, atol=0.5)


def exact_top(covariance: np.ndarray) -> float:
    return -0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]


def test_window_holds_the_mass_and_the_ellipses(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(2)
    explorer = Explorer(linear.run)
    view = explorer.posterior_view(explorer.instance(1))
    mean, covariance = truth_of(linear, 1)
    reach = np.sqrt(chi2(2).ppf(0.999) * np.diag(covariance))
    (shape,) = view.gaussians
    for centre, half in ((mean, reach), (shape.mean, 2.5 * np.sqrt(np.diag(shape.covariance)))):
        assert view.x[0] < centre[0] - half[0] + 0.05
        assert view.x[-1] > centre[0] + half[0] - 0.05
        assert view.y[0] < centre[1] - half[1] + 0.05
        assert view.y[-1] > centre[1] + half[1] - 0.05
    assert max(view.log_density.shape) <= 81
    np.testing.assert_allclose(np.sqrt(np.diag(shape.covariance)), [0.2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(view.base_samples.mean(0), shape.mean, atol=4 * 0.5 / np.sqrt(200))
    assert shape.name == "encoder"


def test_best_gaussians_appear_once_known(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(2)
    explorer = Explorer(linear.run)
    instance = explorer.instance(2)
    assert len(explorer.posterior_view(instance).gaussians) == 1
    assert explorer.gap_view(instance).best_full_elbo is None
    explorer.best_gaussian(instance)
    shapes = {shape.name: shape for shape in explorer.posterior_view(instance).gaussians}
    mean, covariance = truth_of(linear, 2)
    np.testing.assert_allclose(shapes["best Gaussian (full)"].mean, mean, atol=0.02)
    np.testing.assert_allclose(shapes["best Gaussian (full)"].covariance, covariance, atol=0.02)
    precision = np.diag(linear.oracle.precision.numpy())
    np.testing.assert_allclose(np.diag(shapes["best Gaussian (diagonal)"].covariance), 1 / precision, rtol=0.1)


def test_gaps_are_the_closed_form(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(2)
    explorer = Explorer(linear.run)
    instance = explorer.instance(3)
    x = linear.run.data.test.pixels([3])
    q = linear.run.model.encoder(x)
    log_px = float(linear.oracle.log_px(x)[0])
    elbo = float(linear.oracle.elbo(x, q.mean, q.variance[0].diag())[0])
    quick = explorer.gap_view(instance)
    assert quick.log_px == pytest.approx(log_px, abs=0.01)
    assert quick.log_px_truth == "grid"
    assert quick.encoder_elbo == pytest.approx(elbo, abs=0.05)
    assert quick.modes == 1
    assert quick.negentropy == pytest.approx(0.0, abs=0.01)
    explorer.best_gaussian(instance)
    known = explorer.gap_view(instance)
    assert known.encoder_elbo == pytest.approx(quick.encoder_elbo, abs=1e-4)
    assert known.best_full_elbo == pytest.approx(log_px, abs=0.02)
    assert known.best_diagonal_elbo == pytest.approx(float(linear.oracle.best_diagonal_elbo(x)[0]), abs=0.05)


@pytest.mark.parametrize(("kind", "dims"), [("auto", (0, 1)), ("dims", (3, 1))])
def test_slice_is_the_conditional_density(
    linear_run: Callable[..., LinearRun], kind: str, dims: tuple[int, int]
) -> None:
    linear = linear_run(4)
    explorer = Explorer(linear.run)
    instance = explorer.instance(0)
    plane = explorer.plane(instance, kind, dims)
    mean, covariance = truth_of(linear, 0)
    np.testing.assert_allclose(plane.origin + plane.coordinates(mean) @ plane.axes, mean, atol=2e-3)
    assert plane.is_slice
    assert plane.note
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-9)
    assert ("count from the mode, in prior sd" in plane.note) is (kind == "auto")
    if kind == "dims":  # z4 and z2 are the coordinates themselves, as in the traces and in every other view
        np.testing.assert_allclose(plane.coordinates(mean), mean[list(dims)], atol=1e-9)
        assert (plane.x_label, plane.y_label) == ("z4", "z2")
        np.testing.assert_array_equal(plane.axes, np.eye(4)[list(dims)])
    else:
        assert (plane.x_label, plane.y_label) == ("widest direction", "2nd widest")
        _, vectors = np.linalg.eigh(covariance)
        np.testing.assert_allclose(np.abs(plane.axes @ vectors[:, [3, 2]]), np.eye(2), atol=1e-2)
    view = explorer.posterior_view(instance, plane)
    conditional = np.linalg.inv(plane.axes @ linear.oracle.precision.numpy() @ plane.axes.T)
    u, w = np.meshgrid(view.x, view.y)
    exact = log_normal(np.stack([u, w], axis=-1), plane.coordinates(mean), conditional)
    shown = exact > exact.max() - 20
    np.testing.assert_allclose(view.log_density[shown], exact[shown], atol=0.05)
    for mass, threshold in view.hpd_levels:
        assert threshold == pytest.approx(exact.max() - 0.5 * chi2(2).ppf(mass), abs=0.15)
    np.testing.assert_allclose(view.modes, plane.coordinates(mean)[None], atol=2e-3)


def test_gaussian_on_a_slice_is_its_restricted_density() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    covariance, mean = root @ root.T + np.eye(5), rng.normal(size=5)
    axes = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    plane = Plane(rng.normal(size=5), axes, "", "", is_slice=True, note="")
    shape = on_plane("q", plane, mean, covariance)
    points = rng.normal(size=(6, 2))
    full = log_normal(plane.origin + points @ axes, mean, covariance)
    drawn = log_normal(points, shape.mean, shape.covariance)
    np.testing.assert_allclose(full - full[0], drawn - drawn[0], atol=1e-9)


def test_local_posterior_is_the_gaussian(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(3)
    x = linear.run.data.test.pixels([4])
    local = local_posterior(linear.run.model, x, np.zeros((1, 3)))
    mean, covariance = truth_of(linear, 4)
    np.testing.assert_allclose(local.mode, mean, atol=2e-3)
    np.testing.assert_allclose(local.precision, linear.oracle.precision.numpy(), rtol=1e-4)
    np.testing.assert_allclose(local.covariance, covariance, rtol=1e-3, atol=1e-6)
    exact = log_normal(mean, mean, covariance) + float(linear.oracle.log_px(x)[0])
    assert local.log_joint == pytest.approx(exact, abs=1e-3)


def test_wrong_planes_are_refused(linear_run: Callable[..., LinearRun]) -> None:
    explorer = Explorer(linear_run(3).run)
    instance = explorer.instance(0)
    with pytest.raises(UserError, match="from 0 to 2, got 1 and 1"):
        explorer.plane(instance, "dims", (1, 1))
    with pytest.raises(UserError, match="got 0 and 3"):
        explorer.plane(instance, "dims", (0, 3))
    with pytest.raises(UserError, match="did you mean 'principal'"):
        explorer.plane(instance, "principle")
    line = Explorer(linear_run(1).run)
    with pytest.raises(UserError, match="one latent dimension"):
        line.plane(line.instance(0))


@pytest.mark.parametrize("fine", [(0.4, 0.45), (0.0, 0.1), (0.95, 1.0), (0.1, 0.9)])
def test_axis_reaches_both_ends_and_resolves_a_small_part(fine: tuple[float, float]) -> None:
    points = axis(0.0, 1.0, *fine, n=81)
    assert len(points) == 81
    assert points[0] == 0.0
    assert points[-1] == 1.0
    assert (np.diff(points) > 0).all()
    inside = points[(points >= fine[0]) & (points <= fine[1])]
    assert len(inside) >= 54
    assert inside[0] == fine[0]
    assert inside[-1] == fine[1]


def test_hpd_levels_of_a_staircase() -> None:
    mass = np.array([[0.4, 0.3], [0.2, 0.1]])
    assert hpd_levels(np.log(mass), (0.35, 0.6, 0.85)) == (
        (0.35, pytest.approx(np.log(0.4))),
        (0.6, pytest.approx(np.log(0.3))),
        (0.85, pytest.approx(np.log(0.2))),
    )
