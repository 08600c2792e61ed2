"""Means over runs with their standard deviations: curves or points of several groups, and levels to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import plotly.graph_objects as go

from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle, method_styles
from gpvae_core.plots.theme import Theme, axis, frame, plain, translucent

WIDTH, HEIGHT = 620, 380
"""Width of a figure, and its height without the legend, in pixels."""
MARGIN = (66, 18, 34, 50)
"""Left, right, top, bottom in pixels."""
LEGEND_ROW = 20
BAND = 0.18
"""Opacity of the band of a standard deviation around a curve or level."""


@dataclass(frozen=True)
class SpreadCurve:
    """One group's means over runs, in the order of x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    sd: Sequence[float]
    """Standard deviation over runs; 0 of a single run."""
    runs: Sequence[int]
    x_sd: Sequence[float] = ()
    """The same of x; none where x is known."""
    labels: Sequence[str] = ()
    """Text beside each mark."""


@dataclass(frozen=True)
class Level:
    """A number that does not depend on x."""

    name: str
    value: float
    sd: float = 0.0


@dataclass(frozen=True)
class Caption:
    """The words of a figure: axes with their units, and what it is of."""

    title: str
    x: str
    y: str
    unit: str
    """Unit of y, for what is shown at the pointer."""
    x_ticks: Sequence[float] = ()
    """Where x has labels; none for plotly's choice."""


def figure(
    curves: Sequence[SpreadCurve], levels: Sequence[Level], caption: Caption, theme: Theme, band: bool = False
) -> go.Figure:
    """Return the curves and levels, with means and standard deviations.

    Args:
        band: whether deviations are bands around lines, for curves of many points, and not bars at marks. A curve of
            one point, of which there is no line, is a mark.
    """
    styles = method_styles([curve.name for curve in curves], "", theme)
    x_range = _around([(x, sd) for c in curves for x, sd in zip_longest(c.x, c.x_sd, fillvalue=0.0)])
    y_range = _around(
        [(y, sd) for c in curves for y, sd in zip(c.y, c.sd, strict=True)] + [(v.value, v.sd) for v in levels]
    )
    xs = x_range or [x for curve in curves for x in curve.x]
    marks = [mark for k, level in enumerate(levels) for mark in _level(level, (min(xs), max(xs)), k, theme)]
    for curve in curves:
        style, is_line = styles[curve.name], band and len(curve.x) > 1
        marks += _with_band(curve, style, caption) if is_line else [_with_bars(curve, style, caption, theme)]
    entries = len(curves) + len(levels)
    height = HEIGHT + LEGEND_ROW * entries
    layout = frame(theme, WIDTH, height, (*MARGIN[:3], MARGIN[3] + LEGEND_ROW * entries), showlegend=True)
    layout["title"] = {"text": caption.title, "font": {"size": 12, "color": theme.text}, "x": 0.02, "y": 0.985}
    ticks = {"tickvals": list(caption.x_ticks)} if caption.x_ticks else {}
    layout["xaxis"] = axis(theme, caption.x, range=x_range, **ticks)
    layout["yaxis"] = axis(theme, caption.y, range=y_range)
    layout["legend"] = {
        "x": 0.0, "y": -44 / (HEIGHT - MARGIN[2] - MARGIN[3]), "xanchor": "left", "yanchor": "top",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of(marks, layout)


def _around(values: Sequence[tuple[float, float]]) -> list[float] | None:
    """Return the range of an axis, half of the value to each side, where all (value, deviation) are one value.

    By itself plotly would show 1 to each side, whatever the value. None where there are several values, or 0.
    """
    (value, *others), deviates = {value for value, _ in values}, any(sd for _, sd in values)
    return None if others or deviates or not value else [value - abs(value) / 2, value + abs(value) / 2]


def _level(level: Level, ends: tuple[float, float], number: int, theme: Theme) -> list[Mark]:
    """Return a level's line, with the band of its deviation where it has one."""
    dash = ("dash", "dot", "dashdot")[number % 3]
    line = scatter(
        x=list(ends), y=[level.value] * 2, mode="lines", name=plain(level.name),
        line={"color": theme.text, "width": 1.6, "dash": dash},
        hovertemplate=f"{plain(level.name)}: {level.value:.4g}{_deviation(level.sd)}<extra></extra>",
    )  # fmt: skip
    if not level.sd:
        return [line]
    return [_band(list(ends), [level.value] * 2, [level.sd] * 2, theme.muted), line]


def _deviation(sd: float) -> str:
    return f" ± {sd:.2g}" if sd else ""


def _band(x: Sequence[float], y: Sequence[float], sd: Sequence[float], colour: str) -> Mark:
    """Return the band from y - sd to y + sd."""
    upper = [a + b for a, b in zip(y, sd, strict=True)]
    lower = [a - b for a, b in zip(y, sd, strict=True)]
    return scatter(
        x=[*x, *reversed(x)], y=[*upper, *reversed(lower)], mode="lines", fill="toself",
        fillcolor=translucent(colour, BAND), line={"width": 0, "color": colour}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _with_band(curve: SpreadCurve, style: MethodStyle, caption: Caption) -> list[Mark]:
    line = scatter(
        x=list(curve.x), y=list(curve.y), mode="lines", name=_entry(curve),
        line={"color": style.colour, "width": 2, "dash": style.dash},
        customdata=list(curve.sd),
        hovertemplate=f"%{{y:.4g}} ± %{{customdata:.2g}} {caption.unit} at %{{x}}<extra>{plain(curve.name)}</extra>",
    )  # fmt: skip
    return [_band(curve.x, curve.y, curve.sd, style.colour), line] if any(curve.sd) else [line]


def _with_bars(curve: SpreadCurve, style: MethodStyle, caption: Caption, theme: Theme) -> Mark:
    bar = {"color": style.colour, "thickness": 1.2, "width": 3}
    more: dict[str, Any] = {}
    if any(curve.sd):
        more["error_y"] = {"type": "data", "array": list(curve.sd), **bar}
    if any(curve.x_sd):
        more["error_x"] = {"type": "data", "array": list(curve.x_sd), **bar}
    if any(curve.labels):
        more |= {"text": [plain(label) for label in curve.labels], "textposition": "top right"}
        more["textfont"] = {"size": 10, "color": theme.text}
    return scatter(
        x=list(curve.x), y=list(curve.y), name=_entry(curve),
        mode="lines+markers+text" if any(curve.labels) else "lines+markers",
        line={"color": style.colour, "width": 1.6, "dash": style.dash},
        marker={"symbol": style.symbol, "size": 9, "color": style.colour, "line": {"color": theme.edge, "width": 0.8}},
        customdata=[[sd, runs] for sd, runs in zip(curve.sd, curve.runs, strict=True)],
        hovertemplate=f"%{{y:.4g}} ± %{{customdata[0]:.2g}} {caption.unit} at %{{x:.4g}}, %{{customdata[1]}} run(s)"
        f"<extra>{plain(curve.name)}</extra>",
        **more,
    )  # fmt: skip


def _entry(curve: SpreadCurve) -> str:
    """Return a curve's entry in the legend, with its number of runs."""
    most, least = max(curve.runs), min(curve.runs)
    count = f"{most} run{'s' if most != 1 else ''}" if most == least else f"{least} to {most} runs"
    return f"{plain(curve.name)} ({count})"
