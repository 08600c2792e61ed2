"""The Gap Lab's figures are read back: what is in `fig.data` must be the view's numbers."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from gpvae_core.inspection.gap_lab.views import (
    ContoursView,
    CurveView,
    GapStack,
    Outline,
    StacksView,
    SviView,
    TimedMethod,
    TimesView,
)
from gpvae_core.inspection.views import PosteriorView, Value
from gpvae_core.plots import accuracy_time, gap_curves, stacked_gaps, svi_path
from gpvae_core.plots.method_styles import method_styles, short_name
from gpvae_core.plots.theme import DARK, LIGHT

METHODS = ("base", "base-flow", "base+svi:8")
STYLES = method_styles(METHODS, "base", LIGHT)


def named(fig: go.Figure, name: str) -> Any:
    """The one trace of that name."""
    actual = [trace for trace in fig.data if (trace.name or "").replace("<br>", " ") == name]
    assert len(actual) == 1, [trace.name for trace in fig.data]
    return actual[0]


def stacks_view(se: float | None = None) -> StacksView:
    """Approximation gap 0.5; 'base' misses 2 more, the flow wins 0.2 back, SVI is exactly q*."""
    stacks = tuple(
        GapStack(name, Value(0.5 + a, se), Value(a, se)) for name, a in zip(METHODS, (2.0, -0.2, 0.0), strict=True)
    )
    return StacksView("image 3", Value(-50.0, se), Value(0.5, se), Value(0.1, se), stacks, True, "by quadrature")


def test_stacks_hang_from_log_px_down_to_each_elbo() -> None:
    view = stacks_view(se=0.3)
    fig = stacked_gaps.figure(view, STYLES, LIGHT)
    plain, hatched = named(fig, "approximation gap"), named(fig, "amortization gap")
    np.testing.assert_allclose(plain.y, [0.5, 0.3, 0.5])
    np.testing.assert_allclose(hatched.y, [2.0, 0.0, 0.0])
    np.testing.assert_allclose(hatched.base, [0.5, 0.3, 0.5])
    np.testing.assert_allclose(named(fig, "gain over q*").y, [0.0, 0.2, 0.0])
    ends = named(fig, "ELBO")
    np.testing.assert_allclose(ends.y, [2.5, 0.3, 0.5])
    np.testing.assert_allclose(ends.customdata, [-52.5, -50.3, -50.5])
    np.testing.assert_allclose(ends.error_y.array, 0.3)
    np.testing.assert_allclose(np.asarray(plain.y) + hatched.y, ends.y)
    assert list(named(fig, "log p(x)").y) == [0.0, 0.0]
    assert list(named(fig, "best full Gaussian").y) == [0.1, 0.1]
    low, high = fig.layout.yaxis.range
    assert low > 2.8 > 0.0 > high, "zero is at the top"
    assert "nats" in fig.layout.yaxis.title.text
    texts = " ".join(note.text for note in fig.layout.annotations)
    assert "= −50.00 ± 0.30 nats; ELBO of the best diagonal Gaussian −50.50, full −50.10" in texts
    assert all(f"<b>{number}</b>" in texts for number in ("2.50", "0.30", "0.50"))


def test_a_bound_is_called_one_and_many_methods_find_room() -> None:
    view = stacks_view()
    many = replace(view, exact=False, stacks=view.stacks * 3)
    fig = stacked_gaps.figure(many, STYLES, DARK)
    assert "≥ −50.00 nats" in fig.layout.annotations[-1].text
    assert fig.layout.xaxis.tickangle == -35
    assert list(fig.layout.xaxis.ticktext[:3]) == ["base", "flow", "+svi:8"]
    assert fig.layout.paper_bgcolor == DARK.paper
    assert not named(fig, "ELBO").error_y.visible


def test_gaps_stand_beside_their_usual_range_and_a_diverged_method_is_called_so() -> None:
    view = stacks_view()
    first, second, third = view.stacks
    diverged = replace(second, inference=Value(np.nan, None), amortization=Value(np.nan, None))
    fig = stacked_gaps.figure(replace(view, stacks=(diverged, replace(first, usual=(1.0, 4.25)), third)), STYLES, LIGHT)
    texts = [note.text for note in fig.layout.annotations]
    assert texts[:3] == ["<b>diverged</b>", "<b>2.50</b><br>(1.00 to 4.25)", "<b>0.50</b>"]
    assert np.isfinite(fig.layout.yaxis.range).all()
    assert fig.layout.yaxis.range[0] > 2.5
    np.testing.assert_array_equal(named(fig, "amortization gap").y, [0.0, 2.0, 0.0])


def test_methods_keep_their_looks_and_short_names() -> None:
    assert [STYLES[name].label for name in METHODS] == ["base", "flow", "+svi:8"]
    assert short_name("other-run", "base") == "other-run"
    assert short_name("basement", "base") == "basement"
    looks = {(style.colour, style.dash, style.symbol) for style in STYLES.values()}
    assert len(looks) == len(METHODS)


def svi_view() -> SviView:
    line = np.array([[0.0, 0.0], [1.0, 0.0], [np.nan, np.nan], [2.0, 2.0], [3.0, 2.00001]])
    outlines = tuple(Outline(f"step {k}", line + k, np.array([0.5 + k, 0.25])) for k in range(3))
    return SviView("base", "svi:2", np.array([-9.0, np.nan, -5.0]), outlines, -4.0, -4.5, -4.2, True)


def test_the_elbo_rises_towards_lines_at_log_px_and_the_best_gaussians() -> None:
    fig = svi_path.bound(svi_view(), LIGHT)
    np.testing.assert_allclose(named(fig, "ELBO of SVI").y, [-9.0, np.nan, -5.0])
    for name, value in (("log p(x)", -4.0), ("best full Gaussian", -4.2), ("best diagonal Gaussian", -4.5)):
        assert list(named(fig, name).y) == [value, value]
    low, high = fig.layout.yaxis.range
    assert low < -9.0
    assert high > -4.0
    assert "at least" in svi_path.bound(replace(svi_view(), exact=False), LIGHT).data[0].name


def test_at_d_1_no_second_line_stands_for_the_same_gaussian() -> None:
    stacks = stacked_gaps.figure(replace(stacks_view(), full_is_diagonal=True), STYLES, LIGHT)
    bound = svi_path.bound(replace(svi_view(), full_is_diagonal=True), LIGHT)
    for fig in (stacks, bound):
        assert not any("full" in str(trace.name) for trace in fig.data)
    assert "ELBO of the best diagonal Gaussian −50.50" in stacks.layout.annotations[-1].text
    assert "full" not in stacks.layout.annotations[-1].text


def test_the_film_holds_each_step() -> None:
    film = svi_path.frames(svi_view(), LIGHT, ("contours", "bound", "gaps"))
    path, edge, end = film["views"]["contours"]
    assert edge["paths"][0] == "M0,0L1,0M2,2L3,2"
    assert edge["paths"][2] == "M2,2L3,2M4,4L5,4"
    assert path["trail"] == [[0.5, 0.25], [1.5, 0.25], [2.5, 0.25]]
    assert end["dots"] == [[[0.5, 0.25]], [[1.5, 0.25]], [[2.5, 0.25]]]
    curve, point = film["views"]["bound"]
    assert curve["trail"] == [[0.0, -9.0], None, [2.0, -5.0]]
    assert point["dots"] == [[[0.0, -9.0]], [[0.0, -9.0]], [[2.0, -5.0]]], "the last that is finite"
    assert film["readings"] == [-9.0, None, -5.0]
    assert film["words"][0] == "0 of 2: ELBO −9.00 nats, 5.00 below log p(x)"
    assert film["words"][1] == "1 of 2: SVI has diverged, its ELBO is not a number"
    assert svi_path.film.svg_path(np.empty((0, 2))) == ""


def test_the_bars_of_the_film_reach_from_log_px_to_the_elbo() -> None:
    (bars,) = svi_path.frames(svi_view(), LIGHT, ("contours", "bound", "gaps"))["views"]["gaps"]
    assert bars["at"] == "svi"
    first, second, third = bars["shapes"]
    assert [(bar["y0"], bar["y1"]) for bar in first] == [(0.0, 0.5), (0.5, 5.0), (5.0, 5.0)]
    assert [bar["fillcolor"] for bar in first[:2]] == [LIGHT.bar, LIGHT.bar_other]
    assert second == [], "no bar of what is not a number"
    assert third[-1]["label"]["text"] == "<b>1.00</b>"


def test_answers_lie_over_the_true_posterior(posterior_view: PosteriorView) -> None:
    circle = np.array([[0.0, 0.1], [0.1, 0.0], [0.0, -0.1]])
    outlines = tuple(Outline(name, circle + k, np.array([k, k])) for k, name in enumerate(METHODS))
    fig = svi_path.contours(ContoursView(posterior_view, outlines, 0.9), STYLES, LIGHT)
    np.testing.assert_allclose(named(fig, "log density").z, posterior_view.log_density, atol=1e-5)
    for k, name in enumerate(METHODS):
        edge, middle = (t for t in fig.data if t.legendgroup == name)
        np.testing.assert_allclose(np.stack([edge.x, edge.y], 1), circle + k)
        assert edge.line.color == STYLES[name].colour
        assert (middle.x[0], middle.y[0]) == (k, k)
    assert "prior sd" in fig.layout.xaxis.title.text


def test_the_legend_of_many_answers_ends_within_the_figure(posterior_view: PosteriorView) -> None:
    """Plotly.js hides what is below the axes behind a scroll bar: before, the last of 11 methods were."""
    circle = np.array([[0.0, 0.1], [0.1, 0.0], [0.0, -0.1]])

    def drawn(count: int) -> Any:
        names = [f"digits-vae-method-{k}" for k in range(count)]
        outlines = tuple(Outline(name, circle, np.zeros(2)) for name in names)
        return svi_path.contours(
            ContoursView(posterior_view, outlines, 0.9), method_styles(names, names[0], LIGHT), LIGHT
        )

    assert drawn(2).layout.height == svi_path.HEIGHT
    fig = drawn(11)
    axes = fig.layout.height - fig.layout.margin.t - fig.layout.margin.b
    lines = [
        trace.name.count("<br>") + 1 for trace in fig.data if trace.showlegend is not False and trace.type != "heatmap"
    ]
    assert len(lines) == len(posterior_view.hpd_levels) + 1 + 11
    assert axes >= sum(19 + 10 * (count - 1) for count in lines)


def times_view() -> TimesView:
    points = tuple(
        TimedMethod(name, ms, 0.9 * ms, 1.2 * ms, Value(-50.0 - gap, 0.5), Value(gap, 0.2))
        for name, ms, gap in zip(METHODS, (0.3, 4.0, 40.0), (3.0, 2.0, 0.5), strict=True)
    )
    return TimesView(points, 128, 9, 64, "CPU", True)


@pytest.mark.parametrize("quantity", accuracy_time.QUANTITIES)
def test_each_method_is_a_mark_with_its_errors(quantity: str) -> None:
    fig = accuracy_time.figure(times_view(), STYLES, LIGHT, quantity)
    for point in times_view().points:
        mark = named(fig, point.method)
        value = point.elbo if quantity == "ELBO" else point.inference
        assert (mark.x[0], mark.y[0]) == (point.milliseconds, value.mean)
        assert mark.error_y.array[0] == value.se
        assert mark.error_x.arrayminus[0] == pytest.approx(point.milliseconds - point.low)
    chain = named(fig, "refined")
    assert list(chain.x) == [0.3, 40.0]
    assert fig.layout.xaxis.type == "log"
    assert "this machine (CPU)" in fig.layout.xaxis.title.text
    bottom, top = fig.layout.yaxis.range
    assert (bottom < top) == (quantity == "ELBO"), "better is up"
    assert list(fig.layout.xaxis.ticktext) == ["1", "10"]


@pytest.mark.parametrize("quantity", accuracy_time.QUANTITIES)
def test_bars_and_names_stay_in_the_frame_and_apart(quantity: str) -> None:
    near = [replace(p, milliseconds=ms, low=ms / 3, high=2.5 * ms, elbo=Value(-50.0, 3.0), inference=Value(2.0, 3.0))
            for p, ms in zip(times_view().points, (1.0, 1.3, 40.0), strict=True)]  # fmt: skip
    view = replace(times_view(), points=tuple(near))
    fig = accuracy_time.figure(view, STYLES, LIGHT, quantity)
    left, right = fig.layout.xaxis.range
    low, high = sorted(fig.layout.yaxis.range)
    for point in near:
        mark = named(fig, point.method)
        assert left < np.log10(point.low) < np.log10(point.high) < right
        assert low < mark.y[0] - 3.0 < mark.y[0] + 3.0 < high
    corners = [named(fig, point.method).textposition for point in near]
    assert corners[0] != corners[1], "names of neighbours go to different corners"
    edge = replace(view, points=(replace(near[2], high=41.0), replace(near[0], milliseconds=0.01, low=0.009)))
    long = {name: replace(style, label=f"{style.label} of a long name") for name, style in STYLES.items()}
    corner = named(accuracy_time.figure(edge, long, LIGHT, quantity), near[2].method).textposition
    assert corner.endswith("left"), "away from the frame's right edge"


def test_without_methods_the_axes_stand() -> None:
    fig = accuracy_time.figure(replace(times_view(), points=()), STYLES, LIGHT, "ELBO")
    assert list(fig.data) == []


def test_curves_are_the_means_with_their_errors() -> None:
    inference, approximation, amortization = (
        tuple(Value(share * k, 0.1) for k in (3.0, 2.0)) for share in (1.0, 0.25, 0.75)
    )
    view = CurveView(
        np.array([300.0, 8000.0]), "parameters", ("h4", "h64"), inference, approximation, amortization, True, 64, True,
        "vae",
    )  # fmt: skip
    fig = gap_curves.figure(view, LIGHT)
    known = {"inference gap": [3, 2], "approximation gap": [0.75, 0.5], "amortization gap": [2.25, 1.5]}
    for name, expected in known.items():
        curve = named(fig, name)
        np.testing.assert_allclose(curve.y, expected)
        np.testing.assert_allclose(curve.error_y.array, 0.1)
        assert list(curve.customdata) == ["h4", "h64"]
    assert fig.layout.xaxis.type == "log"
    assert fig.layout.yaxis.range[0] <= 0 < 3.1 < fig.layout.yaxis.range[1]
    assert gap_curves.figure(replace(view, logarithmic=False), LIGHT).layout.xaxis.type != "log"
