"""MAPA Lab: the bound of eq. 10 against S for each proposal and rule for k."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from gpvae_core.errors import unknown
from gpvae_core.inspection.mapa_lab.curve_views import BoundCurve, BoundView
from gpvae_core.plots.against_draws import curve, draws_axis, legend_below, level_line
from gpvae_core.plots.marks import figure_of
from gpvae_core.plots.theme import Theme, axis, frame

WIDTH, HEIGHT = 560, 420
QUANTITIES = ("bound", "gap")
SYMBOLS, DASHES = ("circle", "diamond", "square"), ("solid", "dash", "dot")
"""Symbols and dashes of the rules for k; the proposal determines the colour."""


def _colours(theme: Theme) -> dict[str, str]:
    return {"MAPA": theme.gaussians[0].colour, "MAPA-GT": theme.classes[2], "MAPA-naive": theme.bar_other}


def _styles(view: BoundView, theme: Theme) -> dict[tuple[str, str], dict[str, Any]]:
    rules = list(dict.fromkeys(c.rule for c in view.curves))
    colours = _colours(theme)
    return {
        (c.method, c.rule): {
            "colour": colours[c.method],
            "dash": DASHES[rules.index(c.rule) % len(DASHES)],
            "symbol": SYMBOLS[rules.index(c.rule) % len(SYMBOLS)],
        }
        for c in view.curves
    }


def _name(c: BoundCurve) -> str:
    return f"{c.method}, {c.rule}"


def figure(view: BoundView, theme: Theme, what: str = "bound") -> go.Figure:
    """Return the bound against S, or ("gap") its distance from the empiricalized model's log p(x).

    Raises:
        UserError: `what` is not one of QUANTITIES.
    """
    if what not in QUANTITIES:
        raise unknown("quantity", what, QUANTITIES)
    styles = _styles(view, theme)
    draws = [float(s) for c in view.curves for s in c.draws]
    marks = [
        curve(
            c.draws, c.bound if what == "bound" else c.gap, _name(c), "nats",
            styles[c.method, c.rule], theme, customdata=c.k,
        )
        for c in view.curves
    ]  # fmt: skip
    if what == "bound" and draws:
        marks += [
            level_line(draws, view.empirical, "exact log p(x), empiricalized model", theme.text, "solid", "nats"),
            level_line(draws, view.true, "exact log p(x), true model", theme.muted, "dashdot", "nats"),
        ]
    layout = frame(theme, WIDTH, HEIGHT, (56, 10, 10, 150), showlegend=True)
    layout["xaxis"] = draws_axis(theme, draws)
    title = "mean bound (nats)" if what == "bound" else "exact log p(x) − mean bound (nats)"
    layout["yaxis"] = axis(theme, title)
    layout["legend"] = legend_below(theme)
    return figure_of(marks, layout)
