"""View 1 and the others at d = 1, against the closed form of a linear-Gaussian model."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from gpvae_core.errors import UserError
from gpvae_core.inspection import export
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.line_views import LineView
from gpvae_core.plots import figure_one, posterior
from gpvae_core.plots.posterior_line import TALLEST, height
from gpvae_core.plots.theme import LIGHT
from gpvae_core.runs import Run
from tests.inspection.conftest import LinearRun
from tests.tidy import tidy

LinearRuns = Callable[..., LinearRun]


@pytest.fixture
def linear(linear_run: LinearRuns) -> tuple[Explorer, float, float]:
    """An explorer of a run with d = 1, and mean and standard deviation of p(z|x) of its test image 3."""
    run = linear_run(1)
    x = run.run.data.test.pixels([3])
    mean, covariance = run.oracle.posterior_mean(x), run.oracle.posterior_covariance
    return Explorer(run.run, gap_sample=4), float(mean[0, 0]), float(covariance[0, 0]) ** 0.5


def test_the_density_along_the_line_is_the_closed_form(linear: tuple[Explorer, float, float]) -> None:
    explorer, mean, sd = linear
    instance = explorer.instance(3)
    view = explorer.line_view(instance)
    known = np.isfinite(view.log_density)
    np.testing.assert_allclose(view.log_density[known], norm.logpdf(view.z[known], mean, sd), atol=1.5e-3)
    assert np.trapezoid(np.exp(view.log_density[known]), view.z[known]) == pytest.approx(1.0, abs=2e-3)
    assert view.modes == pytest.approx([mean], abs=0.05 * sd)
    for mass, threshold in view.hpd_levels:
        edge = norm.ppf(0.5 + 0.5 * mass)
        assert threshold == pytest.approx(norm.logpdf(edge) - np.log(sd), abs=0.08), mass
    (encoder,) = view.gaussians
    np.testing.assert_allclose(encoder.log_density, norm.logpdf(view.z, encoder.mean, encoder.variance**0.5), atol=1e-4)
    assert encoder.variance**0.5 == pytest.approx(0.2)
    assert view.z[0] < encoder.mean - 2.5 * 0.2 < encoder.mean + 2.5 * 0.2 < view.z[-1]
    assert len(view.mapa_points) == len(view.mapa_weights) > 0

    explorer.best_gaussian(instance)
    best = explorer.line_view(instance).gaussians[1]
    assert (best.mean, best.variance**0.5) == pytest.approx((mean, sd), abs=0.02 * sd)


def test_the_other_views_are_by_quadrature_too(linear: tuple[Explorer, float, float]) -> None:
    explorer, mean, sd = linear
    explorer.prepare()
    instance = explorer.instance(3)
    traces = explorer.traces_view(instance)
    assert traces.note == "The line is log p(z|x), by quadrature."
    (trace,) = traces.traces
    np.testing.assert_allclose(trace.line, norm.logpdf(trace.line_z, mean, sd), atol=1e-5)
    gap = explorer.gap_view(instance)
    assert (gap.log_px_truth, gap.exact, gap.modes) == ("line", True, 1)
    assert "of the true posterior" in explorer.reconstruction_view(instance).samples_note
    view = explorer.map_view()
    np.testing.assert_allclose(view.xy[3], explorer.place_on_map(instance))
    assert (view.x_label, view.xy[3, 0]) == ("z1", pytest.approx(explorer.line_view(instance).gaussians[0].mean))


def test_the_line_is_for_one_dimension_alone(linear_run: LinearRuns) -> None:
    explorer = Explorer(linear_run(2).run)
    with pytest.raises(UserError, match="wanted a run with one latent dimension, got 2"):
        explorer.line_view(explorer.instance(0))


def test_the_figure_shows_the_densities_as_they_are(linear: tuple[Explorer, float, float]) -> None:
    explorer, mean, sd = linear
    explorer.best_gaussian(explorer.instance(3))
    view = explorer.line_view(explorer.instance(3))
    traces = {str(trace.name): trace for trace in posterior.figure([view], ["run"], LIGHT).data}
    np.testing.assert_allclose(traces["true posterior"].y, np.nan_to_num(np.exp(view.log_density)))
    np.testing.assert_allclose(traces["best Gaussian"].y, np.exp(view.gaussians[1].log_density))
    drawn = traces["true posterior, 90 %"]
    inside = np.asarray(drawn.x)[np.isfinite(drawn.y)]
    assert (inside[0], inside[-1]) == pytest.approx((mean - 1.645 * sd, mean + 1.645 * sd), abs=0.08 * sd)
    assert len({traces[name].line.dash for name in ("encoder", "best Gaussian")}) == 2
    assert height(view) <= TALLEST * np.nanmax(np.exp(view.log_density))


def test_a_line_stands_beside_a_plane(linear: tuple[Explorer, float, float], linear_run: LinearRuns) -> None:
    plane = Explorer(linear_run(2).run)
    line = linear[0].line_view(linear[0].instance(3))
    views = {"d = 1": line, "d = 2": plane.posterior_view(plane.instance(3))}
    fig = posterior.figure(list(views.values()), list(views), LIGHT)
    assert [note.text for note in fig.layout.annotations[:2]] == ["<b>d = 1</b>", "<b>d = 2</b>"]
    shown = [trace.name for trace in fig.data if trace.showlegend]
    assert len(shown) == len(set(shown)), "each name once in the legend"
    for name, write in export.POSTERIOR.items():
        rows = tidy(write(views))
        assert {row["run"] for row in rows} == set(views), name
    grid = [row for row in tidy(export.POSTERIOR["densities"](views)) if row["run"] == "d = 1"]
    assert [row["x_prior_sd"] for row in grid] == line.z.tolist()
    assert {(row["x_axis"], row["y_axis"], row["y_prior_sd"]) for row in grid} == {("z1", None, None)}


@pytest.mark.parametrize("method", ["gp", "me:2", "iaf:2"])
def test_every_encoder_has_its_density_on_the_line(method: str, digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run(method, latent_dim=1, n_test=12), gap_sample=2)
    view = explorer.line_view(explorer.instance(3))
    # Of an untrained flow or mixture all mass lies within the window, up to its margins of 2.5 standard deviations.
    assert np.trapezoid(np.exp(view.gaussians[0].log_density), view.z) == pytest.approx(1.0, abs=0.03)
    gap = explorer.gap_view(explorer.instance(3))
    assert gap.full_is_diagonal  # so that no figure shows the best Gaussian twice
    items = explorer.figure_one()
    assert len(items) == (6 if method == "gp" else 0)
    assert all(isinstance(item.posterior, LineView) for item in items)
    assert all(tidy(write(items)) for write in export.FIGURE_ONE.values()) or not items
    assert len({trace.xaxis for trace in figure_one.figure(items, LIGHT).data}) == len(items)
