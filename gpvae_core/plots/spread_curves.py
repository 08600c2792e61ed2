"""Means over runs with their standard deviations: curves or points of several groups, and levels to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import log10
from typing import Any

import plotly.graph_objects as go

from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle, method_styles
from gpvae_core.plots.theme import Theme, axis, frame, heading, nth, plain, shortened, translucent

MARGIN = (66, 18, 34, 50)
"""Left, right, top, bottom in pixels."""
LEGEND_ROW = 20
BAND = 0.18
"""Opacity of the band of a standard deviation around a curve or level."""
LONGEST_NAME = 64
"""Letters of a curve's name in the legend, of which the middle is left out in a longer one."""
GAP = 0.11
"""Gap above each of several panels, with its title, as a share of the height of all."""


@dataclass(frozen=True)
class FigureSize:
    """Width and height of a figure without its legend, in pixels."""

    width: int
    height: int


ON_PAPER, ON_CARD = FigureSize(620, 380), FigureSize(440, 300)
"""Sizes of a figure by itself, and on a card of a page, where a caption stands beside it."""


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
    of: Sequence[str] = ()
    """The names of each mark's runs, for what is shown at the pointer."""
    ringed: Sequence[bool] = ()
    """Whether each mark has a ring, as that of the run that is shown; none where no mark has."""


@dataclass(frozen=True)
class Level:
    """A number that does not depend on x."""

    name: str
    value: float
    sd: float = 0.0


@dataclass(frozen=True)
class SpreadPanel:
    """Curves and levels over one horizontal axis."""

    curves: Sequence[SpreadCurve]
    levels: Sequence[Level]
    y: str
    """The vertical axis, with its unit."""
    unit: str = ""
    """Unit of y, for what is shown at the pointer."""


@dataclass(frozen=True)
class SpreadView:
    """Panels below one another, with the words of their figure."""

    panels: Sequence[SpreadPanel]
    x: str
    """The horizontal axis, with its unit."""
    title: str
    x_ticks: Sequence[float] = ()
    """Where x has labels; none for plotly's choice."""
    log_x: bool = False
    band: bool = False
    """Whether deviations are bands around lines, for curves of many points, and not bars at marks. A curve of one
    point, of which there is no line, is a mark."""


def figure(view: SpreadView, theme: Theme, size: FigureSize = ON_PAPER) -> go.Figure:
    """Return the curves and levels, with means and standard deviations; a card has no title, as its caption says it."""
    names = list(dict.fromkeys(curve.name for panel in view.panels for curve in panel.curves))
    styles, marks, named = method_styles(names, "", theme), list[Mark](), set[str]()
    for k, panel in enumerate(view.panels):
        place = {"xaxis": "x", "yaxis": f"y{nth(k)}"}
        ends = _x_range(view) or [x for curve in panel.curves for x in curve.x]
        for number, level in enumerate(panel.levels if ends else ()):
            marks += [mark | place for mark in _level(level, (min(ends), max(ends)), number, theme)]
        for curve in panel.curves:
            is_line = view.band and len(curve.x) > 1
            drawn = (_with_band if is_line else _with_bars)(curve, styles[curve.name], panel.unit, theme)
            if "text" in drawn[-1]:
                drawn[-1]["textposition"] = _label_places(view, curve.x)
            drawn[-1] |= {"showlegend": curve.name not in named, "legendgroup": curve.name}
            named.add(curve.name)
            marks += [mark | place for mark in drawn]
    entries = len(named) + sum(len(panel.levels) for panel in view.panels)
    return figure_of(marks, _layout(view, theme, size, entries))


def _layout(view: SpreadView, theme: Theme, size: FigureSize, entries: int) -> dict[str, Any]:
    """Return the layout of the panels, with room for the legend's entries below them."""
    top = MARGIN[2] if size is ON_PAPER else 10
    below = MARGIN[3] + LEGEND_ROW * entries
    height = size.height + LEGEND_ROW * entries
    layout = frame(theme, size.width, height, (*MARGIN[:2], top, below), showlegend=True)
    if size is ON_PAPER:
        layout["title"] = {"text": view.title, "font": {"size": 12, "color": theme.text}, "x": 0.02, "y": 0.985}
    several = len(view.panels) > 1
    high = (1 - GAP * len(view.panels) * several) / len(view.panels)
    for k, panel in enumerate(view.panels):
        bottom = max(0.0, 1 - (k + 1) * high - (k + several) * GAP)
        # A panel of several is too low for a title at its side, which stands above it instead.
        title, few = ("", {"nticks": 4}) if several else (panel.y, {})
        few |= _at_one(_y_range(panel))
        layout[f"yaxis{nth(k)}"] = axis(theme, title, domain=[bottom, bottom + high], **few)
        if several:
            layout.setdefault("annotations", []).append(heading(theme, plain(panel.y), 0.0, bottom + high + 0.005))
    more = _at_one(_x_range(view))
    more |= {"tickvals": list(view.x_ticks)} if view.x_ticks else {}
    if view.log_x:
        more = {"type": "log", **_decades([x for panel in view.panels for curve in panel.curves for x in curve.x])}
    layout["xaxis"] = axis(theme, view.x, anchor=f"y{nth(len(view.panels) - 1)}", **more)
    layout["legend"] = {
        "x": 0.0, "y": -44 / (size.height - top - MARGIN[3]), "xanchor": "left", "yanchor": "top",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return layout


def _x_range(view: SpreadView) -> list[float] | None:
    """Return the range of the horizontal axis where all marks are at one place; None for plotly's choice."""
    curves = [curve for panel in view.panels for curve in panel.curves]
    return _around([(x, sd) for c in curves for x, sd in zip_longest(c.x, c.x_sd, fillvalue=0.0)])


def _y_range(panel: SpreadPanel) -> list[float] | None:
    """Return the range of a panel's vertical axis where all marks and levels are at one height; None otherwise."""
    marks = [(y, sd) for curve in panel.curves for y, sd in zip(curve.y, curve.sd, strict=True)]
    return _around(marks + [(level.value, level.sd) for level in panel.levels])


def _around(values: Sequence[tuple[float, float]]) -> list[float] | None:
    """Return the range of an axis, half of the value to each side, where all (value, deviation) are one value.

    By itself plotly would show 1 to each side, whatever the value. None where there are several values, or 0.
    """
    if not values:
        return None
    (value, *others), deviates = {value for value, _ in values}, any(sd for _, sd in values)
    return None if others or deviates or not value else [value - abs(value) / 2, value + abs(value) / 2]


def _at_one(around: list[float] | None) -> dict[str, Any]:
    """Return an axis about the one value in the middle of a range, with a tick at it; plotly's choice without one."""
    if around is None:
        return {"range": None}
    value = sum(around) / 2
    return {"range": around, "tickvals": [value], "ticktext": [f"{value:.3g}"]}


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """Return the range of a logarithmic axis and few round ticks, with room for labels."""
    low, high = min(values) / 1.6, max(values) * 2.2
    ticks = [m * 10.0**k for k in range(-4, 8) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    while len(ticks) > 7:
        ticks = ticks[::2]
    return {"range": [log10(low), log10(high)], "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


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


def _with_band(curve: SpreadCurve, style: MethodStyle, unit: str, theme: Theme) -> list[Mark]:
    line = scatter(
        x=list(curve.x), y=list(curve.y), mode="lines", name=_entry(curve),
        line={"color": style.colour, "width": 2, "dash": style.dash},
        customdata=list(curve.sd),
        hovertemplate=f"%{{y:.4g}} ± %{{customdata:.2g}} {unit} at %{{x}}<extra>{plain(curve.name)}</extra>",
    )  # fmt: skip
    return [_band(curve.x, curve.y, curve.sd, style.colour), line] if any(curve.sd) else [line]


def _label_places(view: SpreadView, x: Sequence[float]) -> list[str]:
    """Return where each mark's label is: above and below in turn, on the left in the last third, where it fits."""
    scale = log10 if view.log_x else float
    places = [scale(value) for panel in view.panels for curve in panel.curves for value in curve.x]
    limit = min(places) + 2 / 3 * (max(places) - min(places))
    return [f"{('top', 'bottom')[k % 2]} {'left' if scale(value) > limit else 'right'}" for k, value in enumerate(x)]


def _with_bars(curve: SpreadCurve, style: MethodStyle, unit: str, theme: Theme) -> list[Mark]:
    bar = {"color": style.colour, "thickness": 1.2, "width": 3}
    more: dict[str, Any] = {}
    if any(curve.sd):
        more["error_y"] = {"type": "data", "array": list(curve.sd), **bar}
    if any(curve.x_sd):
        more["error_x"] = {"type": "data", "array": list(curve.x_sd), **bar}
    if any(curve.labels):
        more["text"] = [plain(label) for label in curve.labels]
        more["textfont"] = {"size": 10, "color": theme.text}
    rings = list(curve.ringed) or [False] * len(curve.x)
    edge = {
        "color": [theme.text if ring else theme.edge for ring in rings],
        "width": [2.5 if r else 0.8 for r in rings],
    }
    of = [plain(names) for names in curve.of] or [f"{runs} run(s)" for runs in curve.runs]
    return [
        scatter(
            x=list(curve.x), y=list(curve.y), name=_entry(curve, " each" if len(curve.x) > 1 else ""),
            mode="lines+markers+text" if any(curve.labels) else "lines+markers",
            line={"color": style.colour, "width": 1.6, "dash": style.dash},
            marker={
                "symbol": style.symbol, "size": [13 if ring else 9 for ring in rings], "color": style.colour,
                "line": edge,
            },
            customdata=[[sd, names] for sd, names in zip(curve.sd, of, strict=True)],
            hovertemplate=f"%{{y:.4g}} ± %{{customdata[0]:.2g}} {unit} at %{{x:.4g}}, %{{customdata[1]}}"
            f"<extra>{plain(curve.name)}</extra>",
            **more,
        )
    ]  # fmt: skip


def _entry(curve: SpreadCurve, each: str = "") -> str:
    """Return a curve's entry in the legend, with its number of runs, or with that of each mark."""
    most, least = max(curve.runs), min(curve.runs)
    count = f"{most} run{'s' if most != 1 else ''}" if most == least else f"{least} to {most} runs"
    return f"{shortened(curve.name, LONGEST_NAME)} ({count}{each})"
