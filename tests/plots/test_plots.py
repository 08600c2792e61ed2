"""Figures are read back: what is in `fig.data` must be the view's numbers."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import base64
import io
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

from gpvae_core.errors import UserError
from gpvae_core.inspection.level_lines import level_lines
from gpvae_core.inspection.uncertainty_views import FigureOneItem, UncertaintyView
from gpvae_core.inspection.views import GapView, MapView, PosteriorView, ReconstructionView, TracesView
from gpvae_core.plots import figure_one, gaps, latent_live, posterior, reconstructions, traces, tsne, uncertainty
from gpvae_core.plots.ellipse import ellipse
from gpvae_core.plots.pictures import as_bytes, png_address
from gpvae_core.plots.theme import CLASS_COLOURS, CLASS_SYMBOLS, DARK, LIGHT, THEMES


def named(fig: go.Figure, name: str) -> Any:
    """The one trace of that name."""
    actual = [trace for trace in fig.data if (trace.name or "").replace("<br>", " ") == name]
    assert len(actual) == 1, [trace.name for trace in fig.data]
    return actual[0]


def texts(fig: go.Figure) -> list[SimpleNamespace]:
    """The texts that the figure places at points, as objects."""
    (trace,) = (trace for trace in fig.data if trace.type == "scatter" and trace.mode == "text")
    fields = {"text": trace.text, "x": trace.x, "y": trace.y, "hovertext": trace.hovertext, "size": trace.textfont.size}
    return [SimpleNamespace(**dict(zip(fields, values, strict=True))) for values in zip(*fields.values(), strict=True)]


# The ellipse


def test_an_ellipse_holds_the_mass_it_says() -> None:
    rng = np.random.default_rng(0)
    mean, covariance = np.array([1.0, -2.0]), np.array([[0.5, 0.3], [0.3, 0.4]])
    outline = ellipse(mean, covariance, 0.9)
    radii = np.einsum("ni,ij,nj->n", outline - mean, np.linalg.inv(covariance), outline - mean)
    np.testing.assert_allclose(radii, -2 * math.log(0.1), rtol=1e-9)
    samples = rng.multivariate_normal(mean, covariance, 40_000)
    inside = np.einsum("ni,ij,nj->n", samples - mean, np.linalg.inv(covariance), samples - mean) <= radii[0]
    assert abs(inside.mean() - 0.9) < 4 * math.sqrt(0.09 / 40_000)
    np.testing.assert_allclose(outline[0], outline[-1])


# View 1


def test_level_lines_of_a_cone_are_circles_with_a_gap_between() -> None:
    x, y = np.linspace(-3, 3, 121), np.linspace(-2, 2, 81)
    one = np.hypot(x[None] + 1.5, y[:, None])
    two = np.hypot(x[None] - 1.5, y[:, None])
    line = level_lines(x, y, np.minimum(one, two), 1.0)
    breaks = np.flatnonzero(np.isnan(line[:, 0]))
    assert len(breaks) == 1
    for part in (line[: breaks[0]], line[breaks[0] + 1 :]):
        side = np.sign(part[0, 0])
        np.testing.assert_allclose(np.hypot(part[:, 0] - 1.5 * side, part[:, 1]), 1.0, atol=2e-3)
    assert level_lines(x, y, one, 99.0).shape == (0, 2)


def test_the_posterior_is_drawn_as_it_is(posterior_view: PosteriorView) -> None:
    view = posterior_view
    fig = posterior.figure([view], ["gp"], LIGHT)
    shade = named(fig, "log density")
    np.testing.assert_allclose(shade.z, view.log_density, atol=1e-5)
    np.testing.assert_array_equal(shade.x, view.x)
    np.testing.assert_array_equal(shade.y, view.y)
    log_density = RegularGridInterpolator((view.y, view.x), view.log_density)
    for mass, threshold in view.hpd_levels:
        line = named(fig, f"true posterior, {100 * mass:g} %")
        points = np.stack([line.y, line.x], -1)[np.isfinite(line.x)]
        assert len(points) > 20
        np.testing.assert_allclose(log_density(points), threshold, atol=1e-6)
    dots = named(fig, "base encoder")
    np.testing.assert_array_equal(np.stack([dots.x, dots.y], -1), view.base_samples)
    assert dots.marker.color == LIGHT.base
    crosses = named(fig, "modes")
    np.testing.assert_array_equal(np.stack([crosses.x, crosses.y], -1), view.modes)


def test_each_gaussian_is_its_own_line(posterior_view: PosteriorView) -> None:
    fig = posterior.figure([posterior_view], ["gp"], LIGHT)
    styles = []
    for shape in posterior_view.gaussians:
        line = named(fig, f"{shape.name}, 90 %")
        np.testing.assert_allclose(np.stack([line.x, line.y], -1), ellipse(shape.mean, shape.covariance, 0.9))
        styles.append((line.line.dash, line.line.color))
    assert len({dash for dash, _ in styles}) == len({colour for _, colour in styles}) == len(posterior_view.gaussians)


def test_mapa_points_have_an_area_by_probability(posterior_view: PosteriorView) -> None:
    sizes = np.array(named(posterior.figure([posterior_view], ["gp"], LIGHT), "MAPA points").marker.size)
    area = (sizes - posterior.MAPA_SMALLEST) ** 2
    np.testing.assert_allclose(area / area[0], posterior_view.mapa_weights / posterior_view.mapa_weights[0], rtol=1e-6)


def test_two_runs_are_two_panels_with_their_names(posterior_view: PosteriorView) -> None:
    other = replace(posterior_view, log_density=posterior_view.log_density - 1.0)
    fig = posterior.figure([posterior_view, other], ["gp", "vae"], LIGHT)
    shades = [trace for trace in fig.data if trace.type == "heatmap"]
    assert [shade.xaxis for shade in shades] == ["x", "x2"]
    np.testing.assert_allclose(shades[1].z, shades[0].z - 1.0, atol=1e-5)
    assert [note.text for note in fig.layout.annotations] == ["<b>gp</b>", "<b>vae</b>"]


def test_what_lies_outside_the_window_is_said(posterior_view: PosteriorView) -> None:
    assert not posterior.figure([posterior_view], ["gp"], LIGHT).layout.annotations
    encoder, *others = posterior_view.gaussians
    away = replace(
        posterior_view,
        gaussians=(replace(encoder, mean=np.array([6.0, 8.0])), *others),
        mapa_points=np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]),
    )
    for fig in (
        posterior.figure([away], ["gp"], LIGHT),
        posterior.figure([posterior_view, away], ["vae", "gp"], LIGHT),
    ):
        arrow, text = fig.layout.annotations[-2:]
        assert text.text == "encoder is outside,<br>10 prior sd away<br>2 MAPA points outside"
        number = arrow.xref[1:]
        (x0, x1), (y0, y1) = fig.layout["xaxis" + number].range, fig.layout["yaxis" + number].range
        assert arrow.y == pytest.approx(y1)
        assert x0 < arrow.x < x1
        slope = (arrow.y - (y0 + y1) / 2) / (arrow.x - (x0 + x1) / 2)
        assert slope == pytest.approx((8.0 - (y0 + y1) / 2) / (6.0 - (x0 + x1) / 2))
    wide = replace(posterior_view, gaussians=(replace(encoder, covariance=100 * np.eye(2)), *others))
    (note,) = posterior.figure([wide], ["gp"], LIGHT).layout.annotations
    assert "larger" in note.text


def test_an_encoder_in_the_legend_of_two_stands_for_both(posterior_view: PosteriorView) -> None:
    encoder, *others = posterior_view.gaussians
    vae = replace(posterior_view, gaussians=(replace(encoder, name="encoder"), *others))
    fig = posterior.figure([posterior_view, vae], ["gp", "vae"], LIGHT)
    assert [trace.name for trace in fig.data if trace.showlegend and "encoder," in trace.name] == ["encoder, 90 %"]
    same = posterior.figure([posterior_view, posterior_view], ["gp", "gp2"], LIGHT)
    assert "GP encoder, 90 %" in [trace.name for trace in same.data if trace.showlegend]


def test_dots_of_two_are_not_called_samples_of_what_they_are_not_samples_of(posterior_view: PosteriorView) -> None:
    """The dots of a flow are samples of the Gaussian before it, and not of the encoder."""

    def dots(first: str, second: str) -> list[str]:
        views = [replace(posterior_view, base_name=name) for name in (first, second)]
        marks = posterior.figure(views, ["a", "b"], LIGHT).data
        return [mark.name for mark in marks if mark.showlegend and mark.marker.color == LIGHT.base]

    assert dots("q(z|x)", "the Gaussian before the flow") == ["samples (see caption)"]
    assert dots("q(z|x)", "q(z|x)") == ["samples of q(z|x)"]


def test_axes_name_their_unit(posterior_view: PosteriorView) -> None:
    bare = replace(posterior_view, plane=replace(posterior_view.plane, x_label="z3, from the mode"))
    layout = posterior.figure([bare], ["gp"], LIGHT).layout
    assert layout.xaxis.title.text == "z3, from the mode (prior sd)"
    assert layout.yaxis.title.text == "z2 (prior sd)"


# View 2


def test_uncertainty_counts_every_image_and_marks_this_one(uncertainty_view: UncertaintyView) -> None:
    view = uncertainty_view
    fig = uncertainty.figure(view, LIGHT, "inference gap")
    for name, values, here in (
        ("Tr V[f]", view.all_trace_f, view.trace_f),
        ("Tr V[h]", view.all_trace_h, view.trace_h),
    ):
        bars = named(fig, f"{name}, test set")
        assert sum(bars.y) == len(values)
        half = np.array(bars.width) / 2
        edges = np.append(bars.x - half, bars.x[-1] + half[-1])
        np.testing.assert_allclose((bars.x + half)[:-1], (bars.x - half)[1:])
        np.testing.assert_allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
        np.testing.assert_array_equal(bars.y, np.histogram(values, edges)[0])
        assert [s.x0 for s in fig.layout.shapes if s.name == "this image" and s.xref == bars.xaxis] == [here]
    for name, values in (("V[f]", view.per_dimension_f), ("V[h]", view.per_dimension_h), ("v", view.per_dimension_v)):
        symbols = [s for s in fig.layout.shapes if s.name.startswith(f"{name},")]
        assert [(s.xanchor, s.yanchor) for s in symbols] == list(enumerate(values))
    assert 10 ** fig.layout.yaxis3.range[1] > view.per_dimension_v.max(), "their scale is in view"
    cloud = named(fig, "inference gap")
    np.testing.assert_array_equal(cloud.x, view.scatter_uncertainty)
    np.testing.assert_array_equal(cloud.y, view.scatter["inference gap"])
    np.testing.assert_array_equal(cloud.customdata, view.scatter_index)


def test_a_zero_uncertainty_leaves_the_log_scale(uncertainty_view: UncertaintyView) -> None:
    silent = replace(uncertainty_view, all_trace_h=np.zeros(300), trace_h=0.0)
    layout = uncertainty.figure(silent, LIGHT, "inference gap").layout
    assert (layout.xaxis.type, layout.xaxis2.type) == ("log", None)


@pytest.mark.parametrize(
    ("low", "high", "kind", "dtick"),
    [(2e-3, 9e-3, None, None), (2e-3, 3e-2, "log", "D2"), (2e-3, 8.0, "log", 1)],
)
def test_an_axis_of_uncertainties_always_has_a_labelled_tick(
    uncertainty_view: UncertaintyView, low: float, high: float, kind: str | None, dtick: object
) -> None:
    values = np.geomspace(low, high, 300)
    narrow = replace(uncertainty_view, all_trace_f=values, scatter_uncertainty=values[:90])
    drawn = uncertainty.figure(narrow, LIGHT, "inference gap").layout.xaxis
    assert (drawn.type, drawn.dtick) == (kind, dtick)


def test_the_correlation_is_written_with_its_interval(uncertainty_view: UncertaintyView) -> None:
    def notes(against: str) -> str:
        return " | ".join(note.text for note in uncertainty.figure(uncertainty_view, LIGHT, against).layout.annotations)

    assert "inference gap: ρ = 0.31 [0.12, 0.48]" in notes("inference gap")
    assert "negentropy: correlation not yet known" in notes("negentropy")
    assert "approximation gap: not known for this run" in notes("approximation gap")
    before = uncertainty.figure(replace(uncertainty_view, scatter={}), LIGHT, "inference gap").layout.annotations
    assert any(note.text == "gaps are still being computed" for note in before)
    low = replace(uncertainty_view.correlations[0], rho=-0.2, low=-0.4, high=-0.05)
    text = uncertainty.correlation_text(low)
    assert text == "ρ = −0.20 [−0.40, −0.05]"


def test_figure_one_keeps_the_order_and_shows_all_six(figure_one_items: tuple[FigureOneItem, ...]) -> None:
    fig = figure_one.figure(figure_one_items, LIGHT)
    shades = [trace for trace in fig.data if trace.type == "heatmap"]
    assert [shade.meta for shade in shades] == [item.index for item in figure_one_items]
    starts = [fig.layout["xaxis" + shade.xaxis[1:]].domain[0] for shade in shades]
    assert starts == sorted(starts)
    for shade, item in zip(shades, figure_one_items, strict=True):
        np.testing.assert_allclose(shade.z, item.posterior.log_density, atol=1e-5)
    dots = [trace for trace in fig.data if trace.name == "base encoder"]
    assert len(dots) == 6
    assert len(fig.layout.images) == 12
    assert fig.layout.images[0].source == png_address(figure_one_items[0].image)
    assert fig.layout.images[1].source == png_address(figure_one_items[0].reconstruction)
    text = [note.text for note in fig.layout.annotations]
    assert all(f"Tr V = {item.uncertainty:.2g} · image {item.index}" in text for item in figure_one_items)
    assert any("50, 90, 99 % of the true posterior" in note and "base encoder" in note for note in text)
    tiny = figure_one.figure([replace(figure_one_items[0], uncertainty=7.03e-5)], LIGHT)
    assert "Tr V = 7.0e-05 · image 0" in [note.text for note in tiny.layout.annotations]


def pixels_per_unit(fig: go.Figure, number: str) -> tuple[float, float]:
    """Return the pixels per unit of a panel's x and y axis."""
    layout = fig.layout
    wide = layout.width - layout.margin.l - layout.margin.r
    high = layout.height - layout.margin.t - layout.margin.b
    x, y = layout["xaxis" + number], layout["yaxis" + number]
    ends = x.domain or (0.0, 1.0), y.domain or (0.0, 1.0)
    return (
        (ends[0][1] - ends[0][0]) * wide / (x.range[1] - x.range[0]),
        (ends[1][1] - ends[1][0]) * high / (y.range[1] - y.range[0]),
    )


def test_a_shape_is_drawn_at_one_scale_and_whole(
    posterior_view: PosteriorView, figure_one_items: tuple[FigureOneItem, ...]
) -> None:
    figures = (
        posterior.figure([posterior_view], ["gp"], LIGHT),
        posterior.figure([posterior_view, posterior_view], ["gp", "vae"], LIGHT),
        figure_one.figure(figure_one_items, LIGHT),
    )
    for fig in figures:
        for shade in (trace for trace in fig.data if trace.type == "heatmap"):
            number = shade.xaxis[1:]
            along_x, along_y = pixels_per_unit(fig, number)
            assert along_x == pytest.approx(along_y)
            x, y = fig.layout["xaxis" + number], fig.layout["yaxis" + number]
            assert y.scaleanchor == shade.xaxis
            assert x.range[0] <= shade.x[0] < shade.x[-1] <= x.range[1]
            assert y.range[0] <= shade.y[0] < shade.y[-1] <= y.range[1]


def test_axis_titles_fit_beside_their_axes(figure_one_items: tuple[FigureOneItem, ...]) -> None:
    view = figure_one_items[0].posterior
    view = replace(view, plane=replace(view.plane, x_label="widest direction", y_label="2nd widest"))
    first = replace(figure_one_items[0], posterior=view)
    for fig in (
        posterior.figure([view], ["deep"], LIGHT),
        posterior.figure([view, view], ["deep", "deeper"], LIGHT),
        figure_one.figure([first, *figure_one_items[1:]], LIGHT),
    ):
        wide = fig.layout.width - fig.layout.margin.l - fig.layout.margin.r
        high = fig.layout.height - fig.layout.margin.t - fig.layout.margin.b
        for axis, pixels in ((fig.layout.xaxis, wide), (fig.layout.yaxis, high)):
            low, high_end = axis.domain or (0.0, 1.0)
            assert len(axis.title.text) * 6.5 < (high_end - low) * pixels + 40


# View 3


def pixels_from_drawn(fig: go.Figure, trace: Any, x: Any, y: Any) -> Any:
    """How far each point (x, y) is from the nearest point of the trace, pixels: the larger of across and upwards."""
    (left, right), (low, high) = (fig.layout[f"{ax}axis{trace[f'{ax}axis'][1:]}"].range for ax in "xy")
    domain = fig.layout[f"xaxis{trace.xaxis[1:]}"].domain
    margin = fig.layout.margin
    across = (domain[1] - domain[0]) * (fig.layout.width - margin.l - margin.r) / (right - left)
    upwards = (fig.layout.height - margin.t - margin.b) / (high - low)
    apart = np.maximum(
        across * np.abs(np.subtract.outer(np.asarray(x), np.asarray(trace.x))),
        upwards * np.abs(np.subtract.outer(np.asarray(y), np.asarray(trace.y))),
    )
    return apart.min(axis=1)


def test_traces_share_one_scale(traces_view: TracesView) -> None:
    fig = traces.figure(traces_view, LIGHT)
    for number, trace in zip(("", "2"), traces_view.traces, strict=True):
        mine = [t for t in fig.data if t.xaxis == f"x{number}"]
        assert [t.name for t in mine] == ["true posterior", "empiricalized", "MAPA"]
        assert {t.yaxis for t in mine} == {"y"}
        np.testing.assert_array_equal(mine[0].x, trace.line_z)
        np.testing.assert_array_equal(mine[0].y, trace.line)
        for drawn, y in zip(mine[1:], (trace.empirical, trace.mapa), strict=True):
            assert set(zip(drawn.x, drawn.y, strict=True)) <= set(zip(trace.z, y, strict=True))
            assert pixels_from_drawn(fig, drawn, trace.z, y).max() <= 1.0
    low, high = fig.layout.yaxis.range
    assert low < min(t.line.min() for t in traces_view.traces)
    assert high > 0.0


def test_traces_survive_points_that_are_out_of_sight(traces_view: TracesView) -> None:
    first = traces_view.traces[0]
    hidden = replace(first, mapa=np.full_like(first.mapa, np.nan), empirical=first.empirical - 500.0)
    fig = traces.figure(replace(traces_view, traces=(hidden,)), LIGHT, [0])
    low, high = fig.layout.yaxis.range
    assert high - low < 1.2 * traces.NATS_SHOWN
    assert fig.layout.xaxis.title.text == "z1 (prior sd)"


def test_points_below_the_panel_are_left_out_and_the_others_drawn(traces_view: TracesView) -> None:
    first = traces_view.traces[0]
    low = np.arange(len(first.z)) % 3 == 0
    sunken = replace(first, mapa=first.mapa - np.where(low, 100.0, 0.0))
    fig = traces.figure(replace(traces_view, traces=(sunken,)), LIGHT, [0])
    drawn = named(fig, "MAPA")
    assert pixels_from_drawn(fig, drawn, first.z[~low], first.mapa[~low]).max() <= 1.0
    assert min(drawn.y) >= fig.layout.yaxis.range[0]
    assert pixels_from_drawn(fig, named(fig, "empiricalized"), first.z, first.empirical).max() <= 1.0


def test_points_of_one_pixel_are_drawn_once(traces_view: TracesView) -> None:
    first = traces_view.traces[0]
    crowd = replace(
        first, z=np.repeat(first.z, 5), empirical=np.repeat(first.empirical, 5), mapa=np.repeat(first.mapa, 5)
    )
    drawn = named(traces.figure(replace(traces_view, traces=(crowd,)), LIGHT, [0]), "MAPA")
    assert len(drawn.x) <= len(first.z)


# View 4


def test_every_point_of_the_map_knows_its_index(map_view: MapView) -> None:
    for colour in tsne.COLOURS:
        fig = tsne.figure(map_view, LIGHT, colour)
        index = np.concatenate([trace.customdata for trace in fig.data])
        xy = np.concatenate([np.stack([trace.x, trace.y], -1) for trace in fig.data])
        order = np.argsort(index)
        np.testing.assert_array_equal(index[order], map_view.index)
        np.testing.assert_array_equal(xy[order], map_view.xy)
        assert all(trace.type == "scattergl" for trace in fig.data)


def test_classes_differ_in_colour_and_symbol(map_view: MapView) -> None:
    fig = tsne.figure(map_view, DARK, "class")
    assert [trace.name for trace in fig.data] == list(map_view.class_names)
    assert len({trace.marker.color for trace in fig.data}) == len({trace.marker.symbol for trace in fig.data}) == 10
    assert len(set(CLASS_COLOURS)) == len(set(CLASS_SYMBOLS)) == 10


def test_values_are_coloured_where_they_are_known(map_view: MapView) -> None:
    fig = tsne.figure(map_view, LIGHT, "gap")
    unknown, known = fig.data
    assert map_view.gap is not None
    assert len(unknown.x) == np.isnan(map_view.gap).sum()
    assert isinstance(known.marker.color, tuple), "arrays inside a marker get lost on the way to the browser"
    gap = map_view.gap[np.isfinite(map_view.gap)]
    np.testing.assert_allclose(10 ** np.array(known.marker.color), gap)
    assert list(known.text) == [f"{value:.3g}" for value in gap]


def test_values_over_decades_are_coloured_by_their_logarithm(map_view: MapView) -> None:
    gap = np.geomspace(0.06, 60.0, 200)
    marker = tsne.figure(replace(map_view, gap=gap), LIGHT, "gap").data[0].marker
    colour = np.clip((np.array(marker.color) - marker.cmin) / (marker.cmax - marker.cmin), 0, 1)
    assert np.histogram(colour, 5, (0, 1))[0].min() > 30, "all of the scale is used"
    assert marker.colorbar.title.text == "inference gap (nats)"
    low, high = np.percentile(gap, [2, 98])
    text = marker.colorbar.ticktext
    assert (text[0], text[-1]) == (f"≤ {low:.2g}", f"≥ {high:.2g}")
    np.testing.assert_allclose(10 ** np.array(marker.colorbar.tickvals[1:-1]), [float(t) for t in text[1:-1]])
    assert {"0.3", "1", "10"} <= set(text)


@pytest.mark.parametrize("gap", [np.linspace(2.0, 6.0, 200), np.linspace(-0.5, 60.0, 200)])
def test_values_within_a_decade_or_below_zero_keep_a_linear_colour(map_view: MapView, gap: np.ndarray) -> None:
    marker = tsne.figure(replace(map_view, gap=gap), LIGHT, "gap").data[0].marker
    np.testing.assert_array_equal(marker.color, gap)
    assert marker.colorbar.ticktext[0].startswith("≤ ")
    assert marker.colorbar.ticktext[-1].startswith("≥ ")


def test_a_colour_that_is_not_there_is_said(map_view: MapView) -> None:
    with pytest.raises(UserError, match="coloured by uncertainty"):
        tsne.figure(replace(map_view, uncertainty=None), LIGHT, "uncertainty")
    with pytest.raises(UserError, match="did you mean 'class'"):
        tsne.figure(map_view, LIGHT, "clas")


def test_the_ring_is_a_shape_of_pixels(map_view: MapView) -> None:
    rings = tsne.figure(map_view, LIGHT, "class", map_view.xy[7]).layout.shapes
    assert len(rings) == 2
    for ring in rings:
        assert (ring.xsizemode, ring.ysizemode) == ("pixel", "pixel")
        assert (ring.xanchor, ring.yanchor) == tuple(map_view.xy[7])
        assert ring.x1 == -ring.x0 == ring.y1 == -ring.y0
    assert tsne.highlight(None, LIGHT) == []


# View 5


def test_error_maps_share_a_symmetric_scale(reconstruction_view: ReconstructionView) -> None:
    fig = reconstructions.figure(reconstruction_view, LIGHT)
    limit = max(float(np.abs(item.error).max()) for item in reconstruction_view.items)
    for item in reconstruction_view.items:
        error_map = named(fig, item.name)
        np.testing.assert_allclose(error_map.z, item.error, atol=1e-6)
        assert (error_map.zmin, error_map.zmax) == (pytest.approx(-limit), pytest.approx(limit))
    assert sum(bool(trace.showscale) for trace in fig.data if trace.type == "heatmap") == 1
    assert fig.layout.images[0].source == png_address(reconstruction_view.image)
    assert [image.source for image in fig.layout.images[1:5]] == [
        png_address(i.image) for i in reconstruction_view.items
    ]
    assert [image.source for image in fig.layout.images[5:]] == [
        png_address(image) for image in reconstruction_view.samples
    ]
    text = [note.text for note in texts(fig)]
    assert all(f"RMSE {item.rmse:.3f}" in text for item in reconstruction_view.items)


def test_the_input_has_an_edge_and_the_best_gaussian_says_which(reconstruction_view: ReconstructionView) -> None:
    fig = reconstructions.figure(reconstruction_view, LIGHT)
    (edge,), picture = fig.layout.shapes, fig.layout.images[0]
    assert (edge.x0, edge.y0, edge.x1, edge.y1) == (
        picture.x, picture.y, picture.x + picture.sizex, picture.y + picture.sizey
    )  # fmt: skip
    assert "best Gaussian (full)" in [note.text.replace("<br>", " ") for note in texts(fig)]


def test_error_maps_lie_upright(reconstruction_view: ReconstructionView) -> None:
    fig = reconstructions.figure(reconstruction_view, LIGHT)
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]
    assert all(trace.dy > 0 for trace in fig.data if trace.type == "heatmap")


def test_pictures_keep_every_level() -> None:
    image = np.linspace(0, 1, 64).reshape(1, 8, 8)
    decoded = Image.open(io.BytesIO(base64.b64decode(png_address(image, 96).split(",")[1])))
    assert decoded.size == (96, 96)
    np.testing.assert_array_equal(np.asarray(decoded)[6::12, 6::12], as_bytes(image))
    assert as_bytes(np.stack([np.full((2, 2), v) for v in (-1.0, 0.5, 2.0)]))[0, 0].tolist() == [0, 128, 255]


# View 6


def test_bars_are_as_long_as_the_gaps(gap_views: tuple[GapView, GapView]) -> None:
    fig = gaps.figure(gap_views, LIGHT)
    split, unsplit = gap_views
    assert split.best_diagonal_elbo is not None
    np.testing.assert_allclose(named(fig, "approximation gap").x, [split.log_px - split.best_diagonal_elbo, 0.0])
    np.testing.assert_allclose(named(fig, "amortization gap").x, [split.best_diagonal_elbo - split.encoder_elbo, 0.0])
    rest = named(fig, "inference gap, not yet split")
    np.testing.assert_allclose(rest.x, [0.0, unsplit.log_px - unsplit.encoder_elbo])
    totals = sum(np.asarray(trace.x) for trace in fig.data if trace.type == "bar")
    np.testing.assert_allclose(totals, [view.log_px - view.encoder_elbo for view in gap_views])
    assert fig.layout.barmode == "relative"
    full = named(fig, "best Gaussian with full covariance")
    np.testing.assert_allclose(full.x, [0.2])


def test_at_d_1_there_is_one_best_gaussian(gap_views: tuple[GapView, GapView]) -> None:
    """Before, a mark for that with full covariance stood beside the same Gaussian, the diagonal one."""
    line = replace(gap_views[0], log_px_truth="line")
    fig = gaps.figure([line], LIGHT)
    mark = named(fig, "best Gaussian with full covariance")
    assert (len(mark.x), mark.showlegend) == (0, False)
    assert texts(fig)[0].text.endswith("best Gaussian's ELBO: −50.50")
    both = gaps.figure([line, gap_views[0]], LIGHT)
    np.testing.assert_allclose(named(both, "best Gaussian with full covariance").x, [0.2])


def test_the_stack_is_labelled_with_its_values(gap_views: tuple[GapView, GapView]) -> None:
    first, second = texts(gaps.figure(gap_views, LIGHT))[:2]
    assert "<b>gp</b>: log p(x) −50.00, ELBO −52.00: gap <b>2.00 nats</b>" in first.text
    assert "−50.50 diagonal, −50.20 full" in first.text
    assert "being optimised" in second.text
    bound = replace(gap_views[0], log_px_truth="iwae")
    text = texts(gaps.figure([bound], LIGHT))[0].text
    assert "log p(x) ≥ −50.00, ELBO −52.00: gap <b>≥ 2.00 nats</b>" in text
    quick = replace(gap_views[1], log_px_truth="iwae")
    assert "log p(x): provisional" in texts(gaps.figure([quick], LIGHT))[0].text
    assert "provisional" not in text + second.text


def test_a_posterior_better_than_the_best_diagonal_gaussian_leaves_the_bar_whole(
    gap_views: tuple[GapView, GapView],
) -> None:
    flow = replace(gap_views[0], encoder_elbo=-50.3)
    fig = gaps.figure([flow], LIGHT)
    np.testing.assert_allclose(named(fig, "approximation gap").x, [0.3])
    np.testing.assert_allclose(named(fig, "amortization gap").x, [0.0], atol=1e-12)
    np.testing.assert_allclose(named(fig, "gain over q*").x, [0.2])
    low, high = fig.layout.xaxis.range
    assert low < 0.0 < 0.5 < high, "from log p(x) to the best diagonal Gaussian"
    assert [note.text for note in texts(fig)[1:]] == ["<b>0.30</b>", "<b>0.20</b>"]


def test_a_long_run_name_leaves_room_for_the_numbers(
    gap_views: tuple[GapView, GapView], posterior_view: PosteriorView
) -> None:
    name = "run-" + "x" * 100 + "-of-two"
    note = texts(gaps.figure([replace(gap_views[0], run=name, log_px_truth="iwae")], LIGHT))[0]
    longest = max(note.text.replace("<b>", "").replace("</b>", "").split("<br>"), key=len)
    assert longest.startswith("run-xx…")
    assert "-of-two: log p(x) ≥ −50.00" in longest
    assert len(longest) * 6.0 < gaps.WIDTH
    panels = posterior.figure([posterior_view, posterior_view], [name, "vae"], LIGHT).layout.annotations
    assert len(panels[0].text) <= posterior.NAME_LENGTH + len("<b></b>")
    assert note.hovertext == panels[0].hovertext == name


def test_each_number_is_legible_and_beside_its_part(gap_views: tuple[GapView, GapView]) -> None:
    thin = replace(gap_views[0], best_diagonal_elbo=-50.02, encoder_elbo=-60.0)
    fig = gaps.figure([thin], LIGHT)
    numbers = {note.text: note for note in texts(fig)[1:]}
    assert list(numbers) == ["<b>0.02</b>", "<b>9.98</b>"]
    above, inside = numbers.values()
    low, high = fig.layout.xaxis.range
    per_pixel = (high - low) / (fig.layout.width - fig.layout.margin.l - fig.layout.margin.r)
    assert above.y < -gaps.BAR / 2, "upwards on this axis"
    assert above.x - 14 * per_pixel > low
    assert (inside.x, inside.y) == (pytest.approx(0.02 + 9.98 / 2), 0)
    assert all(note.size >= 10 for note in texts(fig))
    assert all(trace.text is None for trace in fig.data if trace.type == "bar"), (
        "what a bar writes itself shrinks with it"
    )


def test_an_elbo_above_the_truth_is_not_hidden(gap_views: tuple[GapView, GapView]) -> None:
    noisy = replace(gap_views[0], best_diagonal_elbo=-49.9)
    fig = gaps.figure([noisy], LIGHT)
    np.testing.assert_allclose(named(fig, "approximation gap").x, [-0.1])
    assert fig.layout.xaxis.range[0] <= -0.1


# All


def test_latent_live_draws_every_class() -> None:
    means, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    fig = latent_live.figure(means, labels, ("a", "b", "c"), "VAE, epoch 3", DARK)
    assert [trace.name for trace in fig.data] == ["a", "b", "c"]
    np.testing.assert_array_equal(fig.data[1].x, means[labels == 1, 0])
    assert fig.layout.annotations[0].text == "VAE, epoch 3"


@pytest.mark.parametrize("theme", THEMES.values(), ids=str)
def test_every_figure_has_a_fixed_size_and_no_transition(
    theme: Any,
    posterior_view: PosteriorView,
    uncertainty_view: UncertaintyView,
    traces_view: TracesView,
    map_view: MapView,
    reconstruction_view: ReconstructionView,
    gap_views: tuple[GapView, GapView],
    figure_one_items: tuple[FigureOneItem, ...],
) -> None:
    figures = [
        posterior.figure([posterior_view], ["gp"], theme),
        uncertainty.figure(uncertainty_view, theme, "negentropy"),
        traces.figure(traces_view, theme),
        tsne.figure(map_view, theme),
        reconstructions.figure(reconstruction_view, theme),
        gaps.figure(gap_views, theme),
        figure_one.figure(figure_one_items, theme),
    ]
    for fig in figures:
        assert fig.layout.width > 0
        assert fig.layout.height > 0
        assert fig.layout.transition.duration is None
        assert fig.layout.paper_bgcolor == theme.paper


def luminance(colour: str) -> float:
    """Relative luminance of '#rrggbb', WCAG 2."""
    levels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES.values(), ids=str)
def test_text_and_lines_stand_out_from_the_paper(theme: Any) -> None:
    def contrast(colour: str) -> float:
        low, high = sorted((luminance(colour), luminance(theme.paper)))
        return (high + 0.05) / (low + 0.05)

    assert contrast(theme.text) > 7
    assert contrast(theme.muted) > 4.5
    assert all(contrast(colour) > 3 for colour in (theme.base, theme.contour, *(g.colour for g in theme.gaussians)))
