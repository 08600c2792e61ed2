"""The MAPA Lab's figures are read back: what is in `fig.data` must be the view's numbers."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from gpvae_core.errors import UserError
from gpvae_core.inspection.mapa_lab.curve_views import BoundCurve, BoundView, KlCurve, KlView, PassCurve, PassesView
from gpvae_core.inspection.mapa_lab.image_views import CodesView, Neighbour, NeighboursView
from gpvae_core.inspection.mapa_lab.process import paper_processes
from gpvae_core.inspection.mapa_lab.views import (
    ChosenPoint,
    DensityView,
    PlaneView,
    PointComparison,
    TraceView,
    Variant,
    VariantsView,
)
from gpvae_core.inspection.views import Value
from gpvae_core.plots import (
    bound_curves,
    code_map,
    density,
    generative_process,
    kl_curves,
    mapa_plane,
    mapa_traces,
    neighbour_images,
    pass_curves,
    variants,
)
from gpvae_core.plots.theme import DARK, LIGHT, Theme

N = 30
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(N, 2))
Z = RNG.normal(size=N)
LOG_Q = np.log(RNG.dirichlet(np.ones(N)))
HEAD, DRAWN = np.array([4, 9]), np.array([1, 7, 7, 20])
NUMBERS = PointComparison(
    kl=0.25, kl_reverse=0.3, kl_uniform=2.0, rank=0.8, spread=0.5, effective=5.0, effective_mapa=6.0, head_mass=0.4,
    head_mass_true=0.3, bound=-1.2, gap=Value(0.2, 0.05), log_px_empirical=-1.0, log_px=-1.1, n=N,
)  # fmt: skip
CHOSEN = ChosenPoint(np.array([0.5, -0.25]), 3)


def trace_view() -> TraceView:
    line_z = np.linspace(-4, 4, 81)
    mapa = -0.5 * Z**2 - 1.0
    mapa[7] = np.nan
    return TraceView(line_z, -0.5 * line_z**2, Z, -0.5 * Z**2, mapa, HEAD, DRAWN, "x", "ground-truth z", NUMBERS)


def plane_view() -> PlaneView:
    x, y = np.linspace(-3, 3, 41), np.linspace(-2, 2, 31)
    log_density = -0.5 * (x[None] ** 2 + y[:, None] ** 2)
    return PlaneView(x, y, log_density, HEAD, DRAWN, POINTS, Z, LOG_Q, CHOSEN)


def variants_view(n: int = 2) -> VariantsView:
    z = np.linspace(-3, 3, 21)
    one = Variant("circle", z, np.stack([np.cos(z), np.sin(z)], 1), trace_view())
    other = replace(one, name="circle-fold", trace=replace(trace_view(), z=-Z))
    return VariantsView((one, other)[:n], POINTS, CHOSEN, "")


def bound_view() -> BoundView:
    draws, k = np.array([1.0, 10.0, 100.0]), np.array([1, 1, 10])
    bound = (Value(-2, 0.1), Value(-1, 0.1))
    curves = tuple(
        BoundCurve(name, draws, rule, k, (Value(-3 - j, 0.1), *bound), (Value(2 + j), Value(1), Value(0)))
        for j, name in enumerate(("MAPA", "MAPA-GT", "MAPA-naive"))
        for rule in ("k = 10 % of S", "k = 5")
    )
    return BoundView(curves, Value(-0.9, 0.1), Value(-0.8, 0.1), 100, 10, 0.1)


def passes_view() -> PassesView:
    draws = np.array([1.0, 10.0, 100.0])
    iwae = PassCurve("IWAE", draws, tuple(map(Value, draws)), tuple(Value(s + 1) for s in draws))
    most = PassCurve("MAPA max", draws, (Value(10.0),) * 3, (Value(20.0),) * 3)
    return PassesView((iwae, most), 100, 1000, 0.1)


def kl_view() -> KlView:
    mapa = KlCurve("mapa", np.array([10.0, 50.0]), (Value(0.2, 0.02), Value(0.1, 0.01)), (5, 5))
    return KlView("figure-8", (mapa,), (("vae", Value(0.3, 0.01)),))


def density_view() -> DensityView:
    plane = plane_view()
    return DensityView(
        plane.x, plane.y, "vae", plane.log_density, plane.log_density - 0.1, POINTS, Value(0.12, 0.01), Value(-1.0, 0.1)
    )


def neighbour(index: int, shared: bool = False) -> Neighbour:
    return Neighbour(index, str(index % 10), np.full((1, 4, 4), 0.5), 0.1 / (index + 1), 0.2, 0.7, shared)


def neighbours_view(k: int = 12) -> NeighboursView:
    mapa = (neighbour(5, True), *(neighbour(10 + i) for i in range(k - 1)))
    empirical = (neighbour(5, True), *(neighbour(40 + i) for i in range(k - 1)))
    image = np.zeros((1, 4, 4))
    return NeighboursView(0.5, 2.0, 4.0, 5.0, "test image 0", image, "3", image, mapa, empirical, 1, 100, "kernel", "")


def codes_view() -> CodesView:
    index = np.arange(100, 100 + N)
    labels = np.arange(N) % 3
    return CodesView(
        index, POINTS, labels, ("a", "b", "c"), np.array([0.1, 0.2]), HEAD, DRAWN, "z₁ (prior sd)", "z₂ (prior sd)", ""
    )


FIGURES: dict[str, Callable[[Theme], go.Figure]] = {
    "traces": lambda theme: mapa_traces.figure(trace_view(), theme),
    "plane": lambda theme: mapa_plane.figure(plane_view(), theme),
    "plane by q": lambda theme: mapa_plane.figure(plane_view(), theme, "q"),
    "process": lambda theme: generative_process.figure(paper_processes(), theme, mapa=True),
    "variants": lambda theme: variants.figure(variants_view(), theme),
    "variants in the plane": lambda theme: variants.figure(variants_view(), theme, "plane"),
    "bounds": lambda theme: bound_curves.figure(bound_view(), theme),
    "gaps": lambda theme: bound_curves.figure(bound_view(), theme, "gap"),
    "passes": lambda theme: pass_curves.figure(passes_view(), theme),
    "test KL": lambda theme: kl_curves.figure(kl_view(), theme),
    "density": lambda theme: density.figure(density_view(), theme),
    "codes": lambda theme: code_map.figure(codes_view(), theme),
}


def named(fig: go.Figure, name: str) -> Any:
    """The first trace of that name."""
    return next(trace for trace in fig.data if trace.name == name)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_fixed_size_and_axes_with_titles(name: str, theme: Theme) -> None:
    fig = FIGURES[name](theme)
    assert fig.layout.paper_bgcolor == theme.paper
    assert fig.layout.width
    assert fig.layout.height
    titles = [fig.layout[key].title.text for key in fig.layout if key.startswith(("xaxis", "yaxis"))]
    written = [title for title in titles if title]
    assert len(written) >= 2
    assert any(unit in title for title in written for unit in ("nats", "prior sd", "data units", "passes", "S ("))
    assert fig.layout.transition.duration is None, "transitions break WebGL traces"
    for trace in fig.select_traces(selector=lambda trace: trace.type != "heatmap"):
        assert not isinstance(trace.marker.color, np.ndarray), "arrays nested in a marker are lost at the first update"


def test_traces_show_the_line_and_points_with_neighbours_apart() -> None:
    view = trace_view()
    fig = mapa_traces.figure(view, LIGHT)
    np.testing.assert_array_equal(named(fig, mapa_traces.TRUE).y, view.line)
    red = named(fig, mapa_traces.EMPIRICAL)
    np.testing.assert_array_equal(red.y, view.empirical)
    assert red.customdata.tolist() == list(range(N))
    rest = named(fig, mapa_traces.MAPA)
    assert sorted(rest.customdata) == sorted(set(range(N)) - set(HEAD) - {7}), "7 is below the scale"
    np.testing.assert_array_equal(rest.y, view.mapa[rest.customdata])
    assert named(fig, mapa_traces.HEAD).customdata.tolist() == HEAD.tolist()
    assert named(fig, mapa_traces.HEAD).marker.symbol == "diamond"
    assert named(fig, mapa_traces.DRAWN).customdata.tolist() == [1, 20]
    assert named(fig, mapa_traces.DRAWN).marker.symbol == "circle-open"
    colours = {named(fig, name).marker.color for name in (mapa_traces.EMPIRICAL, mapa_traces.MAPA)}
    assert len(colours) == 2
    assert fig.layout.xaxis.title.text == "ground-truth z (prior sd)"
    low, high = fig.layout.yaxis.range
    assert low < np.nanmin(view.empirical)
    assert high > 0.0
    assert max(np.abs(fig.layout.xaxis.range)) < 4.5


def test_plane_has_points_in_colour_the_chosen_one_and_its_neighbours() -> None:
    view = plane_view()
    by_z, by_q = mapa_plane.figure(view, LIGHT), mapa_plane.figure(view, LIGHT, "q")
    np.testing.assert_allclose(named(by_z, "training points").marker.color, Z)
    np.testing.assert_allclose(named(by_q, "training points").marker.color, LOG_Q)
    np.testing.assert_array_equal(named(by_z, "training points").customdata, np.arange(N))
    np.testing.assert_array_equal(named(by_z, "k most probable").x, POINTS[HEAD, 0])
    assert named(by_z, "drawn").customdata.tolist() == [1, 7, 20]
    assert (named(by_z, "chosen x").x[0], named(by_z, "chosen x").y[0]) == (0.5, -0.25)
    lines = named(by_z, "density p(x)")
    radius = np.hypot(np.asarray(lines.x, float), np.asarray(lines.y, float))
    reached = np.unique(np.round(radius[np.isfinite(radius)], 1))
    assert {1.0, 1.7} <= set(reached), "circles of 0.5 and 1.5 nats"
    assert by_z.layout.yaxis.scaleanchor == "x"
    with pytest.raises(UserError, match="colour of the plane"):
        mapa_plane.figure(view, LIGHT, "class")


def test_the_process_leads_from_z_over_f_to_x() -> None:
    views = paper_processes(seed=2, draws=3)
    fig = generative_process.figure(views, LIGHT, mapa=True)
    paths = [trace for trace in fig.data if trace.name == "x<sub>2</sub>"]
    assert len(paths) == 2, "one in each column"
    for view, path in zip(views, paths, strict=True):
        assert list(path.x) == [view.latents[1]] * 3
        assert list(path.y) == [view.x[0], view.means[1], view.observed[1]]
    curve = named(fig, "p(x)")
    np.testing.assert_allclose(curve.x, np.exp(views[0].log_px))
    np.testing.assert_allclose(named(fig, "posterior of x<sub>1</sub>").y, np.exp(views[0].log_posterior[0]))
    np.testing.assert_allclose(named(fig, "MAPA of x<sub>3</sub>").y, 3 * views[0].mapa[2])
    assert not [trace for trace in generative_process.figure(views, LIGHT).data if trace.name.startswith("MAPA")]
    assert len({trace.line.dash for trace in fig.data if trace.name.startswith("posterior")}) == 3


def test_variants_have_a_column_each_on_one_scale() -> None:
    view = variants_view()
    fig = variants.figure(view, LIGHT)
    curves = [trace for trace in fig.data if trace.name == "x₁ of f(z)"]
    assert len(curves) == 2
    in_legend = [trace.name for trace in fig.data if trace.showlegend]
    assert {"x₁ of f(z)", "x₂ of f(z)", "chosen x"} <= set(in_legend)
    assert in_legend.count("chosen x") == 1
    np.testing.assert_allclose(curves[1].y, view.variants[1].curve[:, 0])
    points = [trace for trace in fig.data if trace.name == mapa_traces.EMPIRICAL]
    np.testing.assert_array_equal(points[1].x, -np.asarray(points[0].x))
    assert fig.layout.yaxis2.range == fig.layout.yaxis4.range
    texts = [note.text for note in fig.layout.annotations]
    assert "<b>circle-fold</b>" in texts
    assert any("0.250 nats" in text for text in texts)
    plane = variants.figure(view, LIGHT, "plane")
    curve = named(plane, "decoder of circle")
    np.testing.assert_allclose(np.hypot(curve.x, curve.y), 1.0)
    assert len(variants.figure(variants_view(1), LIGHT).data) < len(fig.data)
    with pytest.raises(UserError, match="drawing of the decoders"):
        variants.figure(view, LIGHT, "sideways")


def test_bounds_and_gaps_against_s_with_the_exact_lines() -> None:
    view = bound_view()
    fig = bound_curves.figure(view, LIGHT)
    mapa = named(fig, "MAPA, k = 10 % of S")
    assert list(mapa.x) == [1.0, 10.0, 100.0]
    assert list(mapa.y) == [-3, -2, -1]
    assert list(mapa.error_y.array) == [0.1] * 3
    assert set(named(fig, "exact log p(x), empiricalized model").y) == {-0.9}
    assert set(named(fig, "exact log p(x), true model").y) == {-0.8}
    assert fig.layout.xaxis.type == "log"
    looks = {(trace.line.color, trace.line.dash) for trace in fig.data}
    assert len(looks) == len(fig.data) == 8
    gaps = bound_curves.figure(view, LIGHT, "gap")
    assert list(named(gaps, "MAPA-naive, k = 5").y) == [4, 1, 0]
    assert len(gaps.data) == 6
    with pytest.raises(UserError, match="quantity"):
        bound_curves.figure(view, LIGHT, "slack")


def test_passes_of_the_decoder_alone_or_of_both() -> None:
    decoder, both = (pass_curves.figure(passes_view(), LIGHT, encoder) for encoder in (False, True))
    assert list(named(decoder, "IWAE").y) == [1.0, 10.0, 100.0]
    assert list(named(both, "IWAE").y) == [2.0, 11.0, 101.0]
    assert set(named(both, "MAPA max").y) == {20.0}
    assert "encoder + decoder" in both.layout.yaxis.title.text
    assert "batches of 100 of 1,000" in decoder.layout.annotations[0].text


def test_test_kl_has_a_curve_for_each_method_with_s_and_a_line_for_one_without() -> None:
    fig = kl_curves.figure(kl_view(), LIGHT)
    assert list(named(fig, "mapa").y) == [0.2, 0.1]
    assert list(named(fig, "mapa").customdata) == [5, 5]
    assert list(named(fig, "vae").y) == [0.3, 0.3]
    assert list(named(fig, "vae").x) == [10.0, 50.0]


def test_densities_share_the_colour_scale_and_say_the_kl() -> None:
    fig = density.figure(density_view(), LIGHT)
    fields = [trace for trace in fig.data if trace.type == "heatmap"]
    assert fields[0].zmax == fields[1].zmax == pytest.approx(1.0)
    np.testing.assert_allclose(fields[1].z, np.asarray(fields[0].z) * np.exp(-0.1))
    assert any("0.120 ± 0.010 nats" in note.text for note in fig.layout.annotations)


def test_neighbour_images_have_captions_frames_and_indices() -> None:
    view = neighbours_view()
    fig = neighbour_images.figure(view, LIGHT)
    assert len(fig.layout.images) == 2 + 24
    mapa, empirical = fig.data
    assert list(mapa.customdata) == [one.index for one in view.mapa]
    assert list(empirical.customdata) == [one.index for one in view.empirical]
    frames = [shape.line.dash for shape in fig.layout.shapes]
    assert frames.count("solid") == 2, "the shared image, in each list"
    assert "5 · 0.017" in [note.text for note in fig.layout.annotations]
    assert "prior sd" in mapa.text[0]
    assert fig.layout.height > neighbour_images.figure(neighbours_view(5), DARK).layout.height


def test_codes_have_a_trace_for_each_class_and_marks_for_both_lists() -> None:
    fig = code_map.figure(codes_view(), LIGHT)
    assert named(fig, "b").customdata.tolist() == list(range(101, 130, 3))
    np.testing.assert_array_equal(named(fig, "near by MAPA").x, POINTS[HEAD, 0])
    np.testing.assert_array_equal(named(fig, "near by the model").customdata, 100 + DRAWN)
    assert named(fig, "the test image").x[0] == 0.1
