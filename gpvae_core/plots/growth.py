"""Time of the exact and approximate search for neighbours against the number of points, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame

WIDTH, HEIGHT = 520, 360
MARGIN = (64, 16, 28, 46)
STYLES = (("#0072B2", "circle", "solid"), ("#D55E00", "square", "dash"))
"""Colour, symbol and dash of the curves, with colours of Okabe and Ito."""


@dataclass(frozen=True)
class GrowthCurve:
    """Time of one search method."""

    name: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    """Seconds to build the index and search for the neighbours of all points."""
    recall: Sequence[float]
    exponent: float
    """Slope of log seconds against log N over the larger sizes."""


def _lines(curve: GrowthCurve, style: tuple[str, str, str], theme: Theme) -> Mark:
    colour, symbol, dash = style
    return scatter(
        x=list(curve.sizes),
        y=list(curve.seconds),
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"symbol": symbol, "size": 8, "color": colour, "line": {"color": theme.edge, "width": 0.8}},
        customdata=list(curve.recall),
        name=f"{curve.name}: about N^{curve.exponent:.2f}",
        hovertemplate="N = %{x:,}: %{y:.3g} s, recall %{customdata:.3f}<extra></extra>",
    )


def figure(curves: Sequence[GrowthCurve], theme: Theme, title: str) -> go.Figure:
    """Return seconds against N, with a title that describes the data and the measurement."""
    layout = frame(theme, WIDTH, HEIGHT, MARGIN, showlegend=True)
    layout["title"] = {"text": title, "font": {"size": 11, "color": theme.text}, "x": 0.02, "y": 0.98}
    layout["legend"] = {"x": 0.03, "y": 0.97, "bgcolor": "rgba(0,0,0,0)", "font": {"size": 11, "color": theme.text}}
    layout["xaxis"] = axis(theme, "training points N", **_decades([n for curve in curves for n in curve.sizes]))
    layout["yaxis"] = axis(theme, "time for all points (s)", **_decades([s for curve in curves for s in curve.seconds]))
    return figure_of([_lines(c, s, theme) for c, s in zip(curves, STYLES, strict=False)], layout)


def _decades(values: Sequence[float]) -> dict[str, object]:
    """Return a logarithmic axis around the values with a tick at each power of ten."""
    low, high = float(np.log10(min(values))), float(np.log10(max(values)))
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    return {
        "type": "log",
        "range": [low - 0.2, high + 0.3],
        "tickvals": [10.0**k for k in powers],
        "ticktext": [f"10<sup>{k}</sup>" for k in powers],
    }
