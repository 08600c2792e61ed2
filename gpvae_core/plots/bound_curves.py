"""MAPA Lab: the bound of eq. 10 against S for each proposal and each k."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from gpvae_core.errors import unknown
from gpvae_core.inspection.mapa_lab.curve_views import BoundCurve, BoundView
from gpvae_core.plots.against_draws import across, axis_of_draws, curve, legend_below
from gpvae_core.plots.theme import Theme, axis, frame

WIDTH, HEIGHT = 560, 420
QUANTITIES = ("bound", "gap")
SYMBOLS, DASHES = ("circle", "diamond", "square"), ("solid", "dash", "dot")
"""By the rule for k; colours are by the proposal."""


def _colours(theme: Theme) -> dict[str, str]:
    return {"MAPA": theme.gaussians[0].colour, "MAPA-GT": theme.classes[2], "MAPA-naive": theme.bar_other}


def _styles(view: BoundView, theme: Theme) -> dict[tuple[str, str], dict[str, Any]]:
    rules = list(dict.fromkeys(one.rule for one in view.curves))
    colours = _colours(theme)
    return {
        (one.method, one.rule): {
            "colour": colours[one.method],
            "dash": DASHES[rules.index(one.rule) % len(DASHES)],
            "symbol": SYMBOLS[rules.index(one.rule) % len(SYMBOLS)],
        }
        for one in view.curves
    }


def _name(one: BoundCurve) -> str:
    return f"{one.method}, {one.rule}"


def figure(view: BoundView, theme: Theme, what: str = "bound") -> go.Figure:
    """Return the bound itself, or ("gap") what it misses of the empiricalized model's log p(x).

    Raises:
        UserError: another quantity.
    """
    if what not in QUANTITIES:
        raise unknown("quantity", what, QUANTITIES)
    styles = _styles(view, theme)
    draws = [float(s) for one in view.curves for s in one.draws]
    marks = [
        curve(
            one.draws, one.bound if what == "bound" else one.gap, _name(one), "nats",
            styles[one.method, one.rule], theme, customdata=one.k,
        )
        for one in view.curves
    ]  # fmt: skip
    if what == "bound" and draws:
        marks += [
            across(draws, view.empirical, "exact log p(x), empiricalized model", theme.text, "solid", "nats"),
            across(draws, view.true, "exact log p(x), true model", theme.muted, "dashdot", "nats"),
        ]
    layout = frame(theme, WIDTH, HEIGHT, (56, 10, 10, 150), showlegend=True)
    layout["xaxis"] = axis_of_draws(theme, draws)
    title = "mean bound (nats)" if what == "bound" else "exact log p(x) − mean bound (nats)"
    layout["yaxis"] = axis(theme, title)
    layout["legend"] = legend_below(theme)
    return go.Figure(marks, layout)
