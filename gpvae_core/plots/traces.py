"""View 3: true, empiricalized and MAPA posterior against single latent coordinates, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.views import Array, CoordinateTrace, TracesView
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.theme import Theme, axis, frame, with_unit

WIDTH, HEIGHT = 440, 260
NATS_SHOWN = 30.0
"""Largest range of the vertical axis below the highest value, nats."""


def _points(
    x: Array,
    y: Array,
    name: str,
    marker: dict[str, Any],
    axes: dict[str, str],
    legend: bool,
    floor: float,
) -> Mark:
    return scatter(
        x=x[y >= floor],
        y=y[y >= floor],
        mode="markers",
        marker=marker,
        name=name,
        showlegend=legend,
        legendgroup=name,
        hovertemplate=f"{name}: %{{y:.2f}} nats at %{{x:.3f}}<extra></extra>",
        **axes,
    )


def _panel(trace: CoordinateTrace, theme: Theme, number: str, legend: bool, floor: float) -> list[Mark]:
    """Return the marks of one coordinate, without the points that lie below the panel's `floor`."""
    axes = {"xaxis": f"x{number}", "yaxis": "y"}
    true = scatter(
        x=trace.line_z,
        y=trace.line,
        mode="lines",
        line={"color": theme.contour, "width": 2},
        name="true posterior",
        showlegend=legend,
        legendgroup="true",
        hovertemplate="true: %{y:.2f} nats at %{x:.3f}<extra></extra>",
        **axes,
    )
    style = theme.gaussians[0]
    empirical = {
        "color": "rgba(0,0,0,0)",
        "symbol": "circle",
        "size": 5,
        "line": {"color": style.colour, "width": 1.0},
    }
    mapa = {
        "color": theme.mapa,
        "symbol": "diamond",
        "size": 5,
        "line": {"color": theme.highlight, "width": 0.5},
    }
    return [
        true,
        _points(trace.z, trace.empirical, "empiricalized", empirical, axes, legend, floor),
        _points(trace.z, trace.mapa, "MAPA", mapa, axes, legend, floor),
    ]


def _span(traces: Sequence[CoordinateTrace]) -> list[float]:
    """Return the vertical range of all panels, from the highest value down to at most NATS_SHOWN below it."""
    values = np.concatenate([np.concatenate([t.line, t.empirical, t.mapa]) for t in traces])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return [-NATS_SHOWN, 1.0]
    high = float(values.max())
    low = max(float(values.min()), high - NATS_SHOWN)
    return [low - 0.04 * (high - low) - 0.1, high + 0.08 * (high - low) + 0.1]


def _line_extent(trace: CoordinateTrace, floor: float) -> list[float]:
    """Return the horizontal range of the true line and the points above `floor`."""
    parts = [trace.line_z[trace.line >= floor]]
    parts += [trace.z[values >= floor] for values in (trace.empirical, trace.mapa)]
    x = np.concatenate(parts)
    x = x if x.size else trace.line_z
    low, high = float(x.min()), float(x.max())
    pad = 0.04 * (high - low) + 1e-3
    return [low - pad, high + pad]


def figure(view: TracesView, theme: Theme, shown: Sequence[int] = (0, 1)) -> go.Figure:
    """Return the traces of the coordinates `shown` (indices in the view) side by side on one vertical scale."""
    traces = [view.traces[k] for k in shown]
    span = _span(traces)
    layout = frame(theme, WIDTH, HEIGHT, (46, 8, 26, 38), showlegend=True)
    layout["yaxis"] = axis(theme, "log density (nats)", range=span, nticks=6)
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    share = 1.06 / len(traces)
    data: list[Mark] = []
    for k, trace in enumerate(traces):
        number = "" if k == 0 else str(k + 1)
        data += _panel(trace, theme, number, k == 0, span[0])
        layout[f"xaxis{number}"] = axis(
            theme,
            with_unit(trace.coordinate),
            domain=[k * share, (k + 1) * share - 0.06],
            range=_line_extent(trace, span[0]),
            nticks=6,
        )
    return go.Figure(data, layout)
