"""Curves of one quantity on common axes, with levels to compare with: against the step, or against a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, plain

WIDTH, HEIGHT = 440, 320
MARGIN = (58, 10, 8, 76)
"""Left, right, top, bottom in pixels; the legend is below the axis."""


class Curve(NamedTuple):
    """One quantity along an axis, and its looks."""

    name: str
    x: Array
    y: Array
    colour: str
    dash: str = "solid"
    width: float = 2.0
    symbol: str = ""
    """Symbol of the mark at each point; '' for a line alone."""


class LevelLine(NamedTuple):
    """A number that does not depend on the axis, and its looks."""

    name: str
    value: float
    dash: str = "solid"
    width: float = 2.0


@dataclass(frozen=True)
class Axes:
    """Titles with units, and ranges of linear axes, of which None leaves the choice to plotly."""

    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False
    unit: str = "nats"
    hover_x: str = "step"
    """What the horizontal axis counts, for what is shown at the pointer."""


def figure(curves: Sequence[Curve], levels: Sequence[LevelLine], axes: Axes, theme: Theme) -> go.Figure:
    """Return the curves, with the levels from the first to the last point of the axis below them."""
    ends = [float(np.min([c.x[0] for c in curves])), float(np.max([c.x[-1] for c in curves]))] if curves else [0.0, 1.0]
    marks = [_level(level, ends, theme) for level in levels] + [_curve(curve, axes) for curve in curves]
    layout = frame(theme, WIDTH, HEIGHT, MARGIN, showlegend=True)
    layout["xaxis"] = axis(theme, axes.x, **_scale(axes.x_range, axes.log_x))
    layout["yaxis"] = axis(theme, axes.y, **_scale(axes.y_range, axes.log_y))
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": -0.15, "xanchor": "left", "yanchor": "top", "itemwidth": 30,
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of(marks, layout)


def _scale(span: tuple[float, float] | None, logarithmic: bool) -> dict[str, Any]:
    return {"type": "log"} if logarithmic else {} if span is None else {"range": [*span]}


def _level(level: LevelLine, ends: list[float], theme: Theme) -> Mark:
    return scatter(
        x=ends, y=[level.value] * 2, mode="lines", name=plain(level.name),
        line={"color": theme.text, "dash": level.dash, "width": level.width},
        hovertemplate=f"{plain(level.name)}: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _curve(curve: Curve, axes: Axes) -> Mark:
    marker = {"marker": {"symbol": curve.symbol, "size": 7, "color": curve.colour}} if curve.symbol else {}
    return scatter(
        x=curve.x, y=curve.y, mode="lines+markers" if curve.symbol else "lines", name=plain(curve.name), **marker,
        line={"color": curve.colour, "width": curve.width, "dash": curve.dash},
        hovertemplate=f"{axes.hover_x} %{{x}}: %{{y:.4g}} {axes.unit}<extra>{plain(curve.name)}</extra>",
    )  # fmt: skip
