"""Names that others chose are shown letter by letter in every figure, and each of many classes is told apart."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from gpvae_core.inspection.gap_lab.views import ContoursView, CurveView, Outline, TimedMethod, TimesView
from gpvae_core.inspection.mapa_lab.curve_views import KlCurve, KlView
from gpvae_core.inspection.mapa_lab.process import paper_processes
from gpvae_core.inspection.prior_lab.views import InstanceMeasure
from gpvae_core.inspection.views import MapView, Value
from gpvae_core.plots import (
    accuracy_time,
    beside_paper,
    code_map,
    density,
    gap_curves,
    gaps,
    generative_process,
    instance_measures,
    kl_curves,
    latent_live,
    mapa_traces,
    neighbour_images,
    point_paths,
    posterior,
    spread_curves,
    stacked_gaps,
    svi_path,
    tsne,
    variants,
)
from gpvae_core.plots.class_marks import TOLD_APART, class_style
from gpvae_core.plots.method_styles import method_styles
from gpvae_core.plots.theme import DARK, LIGHT, Theme, plain, shortened, wrapped
from tests.plots import conftest as views
from tests.plots.test_gap_lab_plots import stacks_view
from tests.plots.test_mapa_plots import codes_view, density_view, neighbours_view, trace_view, variants_view
from tests.plots.test_results_plot import cells

HOSTILE = "<b>a</b>$x$%{x}&lt;"
"""A folder may have this name: as HTML, as TeX and as a template it would be shown as something else."""
OTHER = f"{HOSTILE}2"


def times_view() -> TimesView:
    points = tuple(
        TimedMethod(name, 1.0 + k, 0.9 + k, 1.1 + k, Value(-50.0, 0.1), Value(2.0, 0.1))
        for k, name in enumerate((HOSTILE, f"{HOSTILE}+svi:8"))
    )
    return TimesView(points, 128, 20, 60, "CPU", True)


def curve_view() -> CurveView:
    values = (Value(2.0, 0.1), Value(1.0, 0.1))
    return CurveView(np.array([1.0, 2.0]), HOSTILE, (HOSTILE, OTHER), values, values, values, False, 60, True, HOSTILE)


def contours_view() -> ContoursView:
    outline = Outline(HOSTILE, np.zeros((3, 2)), np.zeros(2))
    return ContoursView(views.make_posterior(), (outline,), 0.9)


STYLES = method_styles((HOSTILE, f"{HOSTILE}+svi:8"), "base", LIGHT)
NAMED_MAP = replace(views.make_map(20), class_names=(HOSTILE, *"123456789"))
STACKS = replace(stacks_view(), stacks=tuple(replace(s, method=HOSTILE) for s in stacks_view().stacks))
NEIGHBOURS = replace(
    neighbours_view(), title=f"test image 0, class {HOSTILE}",
    mapa=tuple(replace(n, label=HOSTILE) for n in neighbours_view().mapa),
)  # fmt: skip
VARIANTS = variants_view()
FIGURES: dict[str, go.Figure] = {
    "map": tsne.figure(NAMED_MAP, LIGHT),
    "map of many": tsne.figure(
        replace(views.make_map(300), class_index=np.arange(300), class_names=(HOSTILE,) * 300), LIGHT
    ),
    "codes": code_map.figure(replace(codes_view(), class_names=(HOSTILE, "b", "c")), LIGHT),
    "live": latent_live.figure(np.zeros((2, 2)), np.zeros(2, int), (HOSTILE,), HOSTILE, LIGHT),
    "posteriors": posterior.figure([views.make_posterior()] * 2, [HOSTILE, OTHER], LIGHT),
    "gaps": gaps.figure([replace(view, run=HOSTILE) for view in views.make_gaps()], LIGHT),
    "stacks": stacked_gaps.figure(STACKS, STYLES, LIGHT),
    "contours": svi_path.contours(contours_view(), STYLES, LIGHT),
    "times": accuracy_time.figure(times_view(), STYLES, LIGHT, "ELBO"),
    "curve": gap_curves.figure(curve_view(), LIGHT),
    "column": beside_paper.figure([replace(cell, name=HOSTILE) for cell in cells()], LIGHT),
    "test KL": kl_curves.figure(
        KlView("x", (KlCurve(HOSTILE, np.array([10.0]), (Value(0.2),), (5,)),), ((OTHER, Value(0.3)),)), LIGHT
    ),
    "density": density.figure(replace(density_view(), name=HOSTILE), LIGHT),
    "traces": mapa_traces.figure(replace(trace_view(), latent=HOSTILE), LIGHT),
    "variants": variants.figure(
        replace(VARIANTS, variants=tuple(replace(v, name=HOSTILE) for v in VARIANTS.variants)), LIGHT, "plane"
    ),
    "process": generative_process.figure([replace(paper_processes()[0], title=HOSTILE)], LIGHT),
    "neighbours": neighbour_images.figure(NEIGHBOURS, LIGHT),
    "spread": spread_curves.figure(
        spread_curves.SpreadView(
            [
                spread_curves.SpreadPanel(
                    [spread_curves.SpreadCurve(HOSTILE, [1.0], [2.0], [0.5], [2], labels=[HOSTILE], of=[HOSTILE])],
                    [spread_curves.Level(HOSTILE, 1.0)],
                    "error",
                    "pixel²",
                )
            ],
            "m",
            "means",
        ),
        LIGHT,
    ),
    "instances": instance_measures.figure([InstanceMeasure(HOSTILE, HOSTILE, gap=1.0)], LIGHT),
    "points": point_paths.figure(
        point_paths.PointPathsView([point_paths.PointPaths(HOSTILE, [1, 2], np.zeros((2, 3)), 0.0, 1.0)], HOSTILE),
        LIGHT,
    ),
}


def texts(part: Any) -> Iterator[str]:
    """All texts of a figure's JSON that Plotly draws, and with them some that it does not."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from texts(value) if key not in ("legendgroup", "source", "bdata") else ()
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)
    elif isinstance(part, str):
        yield part


@pytest.mark.parametrize("name", FIGURES)
def test_a_name_is_shown_letter_by_letter(name: str) -> None:
    drawn = list(texts(json.loads(str(FIGURES[name].to_json()))))
    shown = [text for text in drawn if "a" in text and "&lt;" in text]
    assert shown, "the name is in the figure"
    for text in drawn:
        # What our own code writes stays: bold names, lines, subscripts, what belongs to a hover text.
        assert "$" not in text, text
        assert "<b>a</b>" not in text, text
        assert "%{x}&" not in text, text


def test_the_text_of_a_name_is_the_name() -> None:
    assert html.unescape(plain(HOSTILE)) == HOSTILE
    assert plain("digits-gp 2") == "digits-gp 2"
    assert html.unescape(shortened(HOSTILE * 3, 9)) == "<b>a…x}&lt;"[:4] + "…" + (HOSTILE * 3)[-4:]
    first, second = wrapped(f"{HOSTILE} {OTHER}", 10).split("<br>")
    assert (html.unescape(first), html.unescape(second)) == (HOSTILE, OTHER)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=str)
def test_a_hundred_classes_differ_in_colour_or_symbol(theme: Theme) -> None:
    styles = [class_style(c, theme) for c in range(TOLD_APART)]
    assert len(set(styles)) == TOLD_APART == 100
    assert len({colour for colour, _ in styles[:10]}) == len({symbol for _, symbol in styles[:10]}) == 10
    assert class_style(-1, theme) not in styles


def many_classes(n: int) -> MapView:
    names = tuple(f"alphabet {k}" for k in range(n))
    return replace(views.make_map(3 * n), class_index=np.arange(3 * n) % n, class_names=names)


def test_fifty_classes_each_have_their_marks_and_their_line_in_the_legend() -> None:
    fig = tsne.figure(many_classes(50), LIGHT)
    assert [trace.name for trace in fig.data] == [f"alphabet {k}" for k in range(50)]
    assert len({(trace.marker.color, trace.marker.symbol) for trace in fig.data}) == 50
    assert all(trace.showlegend for trace in fig.data)


def test_beyond_a_hundred_classes_the_name_is_shown_at_the_pointer() -> None:
    view = many_classes(964)
    (trace,) = tsne.figure(view, LIGHT).data
    assert [trace.text[k] for k in (0, 963, 964)] == ["alphabet 0", "alphabet 963", "alphabet 0"]
    assert "%{text}" in trace.hovertemplate
    np.testing.assert_array_equal(trace.customdata, view.index)
    np.testing.assert_array_equal(trace.x, view.xy[:, 0])
    assert not trace.showlegend
