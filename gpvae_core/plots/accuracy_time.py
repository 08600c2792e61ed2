"""Accuracy against the time per batch, with one mark per method; refinements of one encoder are joined by a line."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import TimedMethod, TimesView
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.theme import Theme, axis, frame, plain, shortened

WIDTH, HEIGHT = 440, 300
QUANTITIES = ("inference gap", "ELBO")
"""Quantities of the vertical axis, better ones upwards: the gap with zero at the top, or the ELBO."""
LABEL = 16
SPREAD = 1.6
"""Factor by which the time axis extends beyond the bars."""
MARGIN = (56, 12, 8, 42)
"""Left, right, top, bottom in pixels."""
CORNERS = ("top right", "top left", "bottom right", "bottom left")
RADIUS, LETTER = 7.0, (5.6, 12.0)
"""Radius of a mark, and width and height of a letter beside it, in pixels."""
Range = tuple[float, float]
Box = tuple[float, float, float, float]
"""A rectangle (left, top, right, bottom) in pixels from the frame's upper left corner."""


def _y(point: TimedMethod, quantity: str) -> tuple[float, float]:
    value = point.elbo if quantity == "ELBO" else point.inference
    return value.mean, value.se or 0.0


def _mark(point: TimedMethod, quantity: str, style: MethodStyle, position: str, theme: Theme) -> Mark:
    y, se = _y(point, quantity)
    bar = {"color": style.colour, "thickness": 1.2, "width": 3}
    return scatter(
        x=[point.milliseconds],
        y=[y],
        mode="markers+text",
        text=[shortened(style.label, LABEL)],
        textposition=position,
        textfont={"size": 10, "color": theme.text},
        marker={"symbol": style.symbol, "size": 10, "color": style.colour, "line": {"color": theme.edge, "width": 0.8}},
        error_y={"type": "data", "array": [se], **bar},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [point.high - point.milliseconds],
            "arrayminus": [point.milliseconds - point.low],
            **bar,
        },
        name=plain(point.method),
        hovertemplate=f"{plain(point.method)}: %{{x:.3g}} ms, {quantity} %{{y:.2f}} ± {se:.2f} nats<extra></extra>",
    )


def _chains(view: TimesView, quantity: str, theme: Theme) -> list[Mark]:
    """Return a thin line from each encoder through its refinements, in the order of their times."""
    groups: dict[str, list[TimedMethod]] = {}
    plain = {point.method for point in view.points}
    for point in view.points:
        owners = [name for name in plain if point.method.startswith(f"{name}+")]
        groups.setdefault(max(owners, key=len, default=point.method), []).append(point)
    lines = []
    for points in groups.values():
        if len(points) < 2:
            continue
        ordered = sorted(points, key=lambda p: p.milliseconds)
        lines.append(
            scatter(
                x=[p.milliseconds for p in ordered], y=[_y(p, quantity)[0] for p in ordered], mode="lines",
                line={"color": theme.muted, "width": 1, "dash": "dot"}, hoverinfo="skip", name="refined",
            )
        )  # fmt: skip
    return lines


def figure(view: TimesView, styles: Mapping[str, MethodStyle], theme: Theme, quantity: str) -> go.Figure:
    """Return the figure, in which better methods are up and to the left; `quantity` is one of QUANTITIES."""
    layout = frame(theme, WIDTH, HEIGHT, MARGIN)
    ends = _time_range(view)
    reach = _range(view, quantity)
    letters = {point.method: min(len(styles[point.method].label), LABEL) for point in view.points}
    places = _positions(view, quantity, letters, (ends, reach))
    marks = _chains(view, quantity, theme)
    for point in sorted(view.points, key=lambda point: point.milliseconds):
        marks.append(_mark(point, quantity, styles[point.method], places[point.method], theme))
    ticks = _ticks(*ends)
    layout["xaxis"] = axis(
        theme,
        f"ms per batch of {view.batch}, on this machine ({view.device})",
        type="log",
        range=list(ends),
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
    )
    layout["yaxis"] = axis(theme, f"mean {quantity} (nats)", range=list(reach))
    return figure_of(marks, layout)


def _ticks(low: float, high: float) -> list[float]:
    """Return ticks from 10^low to 10^high: 1, 2 and 5 times powers of ten, or powers alone over two decades."""
    steps = (1.0,) if high - low > 2.0 else (1.0, 2.0, 5.0)
    ticks = [step * 10.0**k for k in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in steps]
    return [tick for tick in ticks if low <= np.log10(tick) <= high]


def _time_range(view: TimesView) -> Range:
    """Return the log10 range of the time axis, which contains all bars."""
    low, high = min((p.low for p in view.points), default=1.0), max((p.high for p in view.points), default=10.0)
    return float(np.log10(low / SPREAD)), float(np.log10(high * SPREAD))


def _range(view: TimesView, quantity: str) -> Range:
    """Return the range of the vertical axis, which contains all bars and the names; the gap's axis points down."""
    ys = [_y(point, quantity) for point in view.points]
    low, high = min((y - se for y, se in ys), default=0.0), max((y + se for y, se in ys), default=1.0)
    pad = 0.14 * max(high - low, 1e-3)
    return (low - pad, high + pad) if quantity == "ELBO" else (high + pad, low - pad)


def _positions(
    view: TimesView, quantity: str, letters: Mapping[str, int], ranges: tuple[Range, Range]
) -> dict[str, str]:
    """Return the position of each name: the corner of its mark with the least overlap with bars, marks and names.

    Args:
        letters: length of the name of each method.
    """
    (left, right), (bottom, top) = ranges
    wide, tall = WIDTH - MARGIN[0] - MARGIN[1], HEIGHT - MARGIN[2] - MARGIN[3]

    def across(ms: float) -> float:
        return wide * (np.log10(ms) - left) / (right - left)

    def down(y: float) -> float:
        return tall * (top - y) / (top - bottom)

    taken: list[Box] = []
    for p in view.points:
        y, se = _y(p, quantity)
        x, v, ends = across(p.milliseconds), down(y), sorted((down(y - se), down(y + se)))
        taken += [(x - 4, ends[0], x + 4, ends[1]), (across(p.low), v - 4, across(p.high), v + 4)]
        taken.append((x - RADIUS, v - RADIUS, x + RADIUS, v + RADIUS))
    out = {}
    for p in sorted(view.points, key=lambda point: point.milliseconds):
        x, v = across(p.milliseconds), down(_y(p, quantity)[0])
        boxes = {corner: _name_box(x, v, letters[p.method], corner) for corner in CORNERS}
        costs = {
            corner: sum(_overlap(box, other) for other in taken) + _outside(box, (wide, tall))
            for corner, box in boxes.items()
        }
        out[p.method] = min(CORNERS, key=lambda corner: costs[corner])
        taken.append(boxes[out[p.method]])
    return out


def _name_box(x: float, y: float, letters: int, corner: str) -> Box:
    """Return the box of a name at a corner of the mark at (x, y)."""
    width, height = LETTER[0] * letters, LETTER[1]
    left = x + RADIUS if corner.endswith("right") else x - RADIUS - width
    top = y - RADIUS - height if corner.startswith("top") else y + RADIUS
    return left, top, left + width, top + height


def _overlap(a: Box, b: Box) -> float:
    """Return the area of the intersection of two boxes, in square pixels."""
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)


def _outside(box: Box, size: tuple[float, float]) -> float:
    """Return the area of a box outside of the frame, in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, (0.0, 0.0, *size))
