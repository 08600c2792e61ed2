"""Accuracy against the time for a batch, one mark for each method; refinements of one encoder are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.explore.gap_lab.views import Timed, TimesView
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.theme import Theme, axis, frame, shortened

WIDTH, HEIGHT = 440, 300
QUANTITIES = ("inference gap", "ELBO")
"""What is drawn upwards: the gap with zero at the top, or the ELBO."""
LABEL = 16
SPREAD = 1.6
"""The time axis reaches beyond the marks by this factor."""


def _y(point: Timed, quantity: str) -> tuple[float, float]:
    value = point.elbo if quantity == "ELBO" else point.inference
    return value.mean, value.se or 0.0


def _mark(point: Timed, quantity: str, style: MethodStyle, above: bool, theme: Theme) -> Mark:
    y, se = _y(point, quantity)
    bar = {"color": style.colour, "thickness": 1.2, "width": 3}
    return scatter(
        x=[point.milliseconds],
        y=[y],
        mode="markers+text",
        text=[shortened(style.label, LABEL)],
        textposition="top center" if above else "bottom center",
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
        name=point.method,
        hovertemplate=f"{point.method}: %{{x:.3g}} ms, {quantity} %{{y:.2f}} ± {se:.2f} nats<extra></extra>",
    )


def _chains(view: TimesView, quantity: str, theme: Theme) -> list[Mark]:
    """A thin line from each encoder through its refined answers, by time."""
    groups: dict[str, list[Timed]] = {}
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
    """Better is up and to the left; `quantity` is one of QUANTITIES."""
    ordered = sorted(view.points, key=lambda point: point.milliseconds)
    marks = _chains(view, quantity, theme)
    marks += [_mark(point, quantity, styles[point.method], k % 2 == 0, theme) for k, point in enumerate(ordered)]
    times = np.array([point.milliseconds for point in view.points])
    layout = frame(theme, WIDTH, HEIGHT, (56, 12, 8, 42))
    ends = np.log10([times.min() / SPREAD, times.max() * SPREAD]) if len(times) else np.array([0.0, 1.0])
    ticks = _ticks(float(ends[0]), float(ends[1]))
    layout["xaxis"] = axis(
        theme,
        f"ms per batch of {view.batch}, on this machine ({view.device})",
        type="log",
        range=ends.tolist(),
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
    )
    layout["yaxis"] = axis(theme, f"mean {quantity} (nats)", **_range(view, quantity))
    return go.Figure(marks, layout)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten: 1, 2, 5, or powers alone over more than two decades."""
    steps = (1.0,) if high - low > 2.0 else (1.0, 2.0, 5.0)
    found = [step * 10.0**k for k in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in steps]
    return [tick for tick in found if low <= np.log10(tick) <= high]


def _range(view: TimesView, quantity: str) -> dict[str, Any]:
    """Room for the names; the gap's axis points down."""
    ys = [_y(point, quantity) for point in view.points]
    low, high = min((y - se for y, se in ys), default=0.0), max((y + se for y, se in ys), default=1.0)
    pad = 0.14 * max(high - low, 1e-3)
    return {"range": [low - pad, high + pad] if quantity == "ELBO" else [high + pad, low - pad]}
