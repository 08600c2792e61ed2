"""GP-Prior Lab: coordinates of the latents over a number, such as time or angle, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import Curves, SeriesView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, nth, plain, translucent

WIDTH, HEIGHT, GAP = 440, 330, 0.07
Range = tuple[float, float]
LEGEND = {"orientation": "h", "x": 0.0, "xanchor": "left", "yanchor": "bottom", "y": 1.01, "bgcolor": "rgba(0,0,0,0)"}


@dataclass(frozen=True)
class RunLook:
    """The name, colour and dash of a run in the figures of the lab."""

    name: str
    colour: str
    dash: str


def looks(names: Sequence[str], theme: Theme) -> list[RunLook]:
    """Return the looks of the run shown and of the one beside it."""
    styles = ((theme.gaussians[0].colour, "solid"), (theme.bar_other, "dash"))
    return [RunLook(name, *style) for name, style in zip(names, styles, strict=False)]


def band(curves: Curves, e: int, look: RunLook, place: dict[str, str]) -> list[Mark]:
    """Return the mean of a coordinate with a band of two standard deviations on either side."""
    mean, wide = curves.mean[:, e], 2 * curves.deviation[:, e]
    around = np.concatenate([curves.at, curves.at[::-1]])
    edge = np.concatenate([mean + wide, (mean - wide)[::-1]])
    return [
        scatter(
            x=around, y=edge, fill="toself", fillcolor=translucent(look.colour, 0.2), mode="lines",
            line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=look.name, **place,
        ),
        scatter(
            x=curves.at, y=mean, mode="lines", name=plain(look.name), legendgroup=look.name, showlegend=e == 0,
            line={"color": look.colour, "dash": look.dash, "width": 2.2}, customdata=wide,
            hovertemplate=f"{plain(look.name)}: %{{y:.3f}} ± %{{customdata:.3f}}<extra></extra>", **place,
        ),
    ]  # fmt: skip


def _path(view: SeriesView, e: int, theme: Theme, place: dict[str, str]) -> list[Mark]:
    """Return the true coordinate, with the frames that were given filled and those that were hidden open."""
    assert view.path is not None
    line = {"color": theme.text, "width": 1.4, "dash": "dot"}
    true = scatter(
        x=view.times, y=view.path[:, e], mode="lines", line=line, name="true path", showlegend=e == 0,
        hovertemplate="true %{y:.3f}<extra></extra>", **place,
    )  # fmt: skip
    return [true, *frame_marks(view, view.path[:, e], theme, place, legend=e == 0)]


def frame_marks(view: SeriesView, y: Array, theme: Theme, place: dict[str, str], legend: bool) -> list[Mark]:
    """Return marks of the frames at heights y (T,): filled where given, open where hidden."""
    kinds = (
        ("frame given", view.seen, theme.text, "circle"),
        ("frame hidden", ~view.seen & ~view.missing, theme.base, "circle-open"),
        ("frame missing", view.missing, theme.muted, "x-thin"),
    )
    return [
        scatter(
            x=view.times[rows], y=y[rows], mode="markers", name=name, showlegend=legend, hoverinfo="skip",
            marker={"color": colour, "symbol": symbol, "size": 6, "line": {"width": 1.6, "color": colour}}, **place,
        )
        for name, rows, colour, symbol in kinds
        if rows.any()
    ]  # fmt: skip


def path_ranges(views: Sequence[SeriesView]) -> list[Range | None]:
    """Return of each coordinate the range of its axis where means or bands go far beyond the true path.

    Latents that lie nearly on a line make the affine fit so unsure that they would shrink the path to a line. The range
    is then that of the path and, on either side, the widest extent of its coordinates; None leaves it to plotly, as it
    is without a true path.
    """
    first = views[0]
    if first.path is None or not np.ptp(first.path):
        return [None] * len(first.coordinates)
    found: list[Range | None] = []
    wide = float(np.ptp(first.path, axis=0).max())
    for e in range(len(first.coordinates)):
        room = (float(first.path[:, e].min()) - wide, float(first.path[:, e].max()) + wide)
        drawn = [end for view in views for end in _ends(view, e)]
        found.append(room if min(drawn) < room[0] or max(drawn) > room[1] else None)
    return found


def cut_off(views: Sequence[SeriesView]) -> list[str]:
    """Return the names of the runs whose means or bands leave the axes."""
    ranges = path_ranges(views)
    return [view.run for view in views if any(room and _leaves(view, e, room) for e, room in enumerate(ranges))]


def _ends(view: SeriesView, e: int) -> Range:
    """Return the lowest and the highest value of a coordinate's band."""
    mean, wide = view.curves.mean[:, e], 2 * view.curves.deviation[:, e]
    return float((mean - wide).min()), float((mean + wide).max())


def _leaves(view: SeriesView, e: int, room: Range) -> bool:
    low, high = _ends(view, e)
    return low < room[0] or high > room[1]


def axes_below(
    titles: Sequence[str], x_title: str, theme: Theme, ranges: Sequence[Range | None] = ()
) -> dict[str, Any]:
    """Return the axes of panels that stand below one another and share their horizontal one.

    Args:
        ranges: of each panel's vertical axis; None, and where there is none, leave it to plotly.
    """
    rows = len(titles)
    high = (1.0 - GAP * (rows - 1)) / rows
    axes: dict[str, Any] = {}
    for e, title in enumerate(titles):
        bottom = 1.0 - (e + 1) * high - e * GAP
        room = ranges[e] if e < len(ranges) else None
        axes[f"yaxis{nth(e)}"] = axis(theme, plain(title), domain=[max(0.0, bottom), bottom + high], range=room)
    axes["xaxis"] = axis(theme, plain(x_title), anchor=f"y{nth(rows - 1)}")
    return axes


def series(views: Sequence[SeriesView], theme: Theme) -> go.Figure:
    """Return each coordinate over the number in a panel of its own: the runs with their bands, and the true path."""
    first, marks = views[0], []
    for e in range(len(first.coordinates)):
        place = {"xaxis": "x", "yaxis": f"y{nth(e)}"}
        for view, look in zip(views, looks([v.run for v in views], theme), strict=False):
            if e < len(view.coordinates):
                marks += band(view.curves, e, look, place)
        if first.path is not None:
            marks += _path(first, e, theme, place)
        else:
            marks += frame_marks(first, first.curves.mean[first.at_frames, e], theme, place, legend=e == 0)
    layout = frame(theme, WIDTH, HEIGHT, (52, 8, 44, 38), showlegend=True, hovermode="x unified")
    layout |= axes_below(first.coordinates, first.axis, theme, path_ranges(views))
    layout["legend"] = {**LEGEND, "font": {"size": 10, "color": theme.text}}
    return figure_of(marks, layout)


def plane(views: Sequence[SeriesView], theme: Theme) -> go.Figure:
    """Return the first two coordinates in the plane, the second downwards as rows of an image are."""
    first, marks = views[0], []
    for view, look in zip(views, looks([v.run for v in views], theme), strict=False):
        x, y = view.curves.mean[:, 0], view.curves.mean[:, 1]
        line = {"color": look.colour, "dash": look.dash, "width": 2.2}
        hover = f"{plain(look.name)}<extra></extra>"
        marks.append(scatter(x=x, y=y, mode="lines", name=plain(look.name), line=line, hovertemplate=hover))
    if first.path is not None:
        line = {"color": theme.text, "width": 1.4, "dash": "dot"}
        true = {"x": first.path[:, 0], "y": first.path[:, 1]}
        marks.append(scatter(**true, mode="lines", name="true path", line=line, hoverinfo="skip"))
    shown = first.curves.mean[first.at_frames] if first.path is None else first.path
    for mark in frame_marks(first, shown[:, 1], theme, {}, legend=True):
        marks.append({**mark, "x": shown[np.isin(first.times, mark["x"]), 0]})
    layout = frame(theme, WIDTH, HEIGHT, (52, 8, 44, 38), showlegend=True)
    across, along = path_ranges(views)[:2]
    down: dict[str, Any] = {"autorange": "reversed"} if first.unit == "path" else {}
    if along is not None:
        down = {"range": along[::-1]}
    layout["xaxis"] = axis(theme, plain(first.coordinates[0]), range=across)
    layout["yaxis"] = axis(theme, plain(first.coordinates[1]), scaleanchor="x", **down)
    layout["legend"] = {**LEGEND, "font": {"size": 10, "color": theme.text}}
    return figure_of(marks, layout)
