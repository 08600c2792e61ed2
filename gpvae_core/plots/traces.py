"""View 3: true, empiricalized and MAPA posterior against single latent coordinates, on one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gpvae_core.inspection.views import Array, CoordinateTrace, TracesView
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, nth, with_unit

WIDTH, HEIGHT = 440, 260
MARGIN = (46, 8, 26, 38)
PARTED = 0.06
"""Space between two panels, as a share of the width of all."""
NATS_SHOWN = 30.0
"""Largest range of the vertical axis below the highest value, nats."""


def one_a_pixel(
    x: Array, y: Array, x_range: Sequence[float], y_range: Sequence[float], size: Array
) -> NDArray[np.intp]:
    """Return the indices of the points within the ranges, and of those in the same pixel of a panel only the first.

    Plotly draws each point as an element of its own, and a browser takes as long for those that cover each other.

    >>> one_a_pixel(np.array([0.1, 0.1001, 0.9]), np.array([0.5, 0.5, 2.0]), (0, 1), (0, 1), np.array([100, 100]))
    array([0])
    """
    low, high = np.array([x_range, y_range], dtype=np.float64).T
    shares = (np.stack([x, y], axis=1) - low) / (high - low)
    seen = np.flatnonzero(((shares >= 0) & (shares <= 1)).all(axis=1))
    _, first = np.unique(np.floor(shares[seen] * size), axis=0, return_index=True)
    return seen[np.sort(first)]


def _points(x: Array, y: Array, name: str, marker: dict[str, Any], axes: dict[str, str], legend: bool) -> Mark:
    return scatter(
        x=x,
        y=y,
        mode="markers",
        marker=marker,
        name=name,
        showlegend=legend,
        legendgroup=name,
        hovertemplate=f"{name}: %{{y:.2f}} nats at %{{x:.3f}}<extra></extra>",
        **axes,
    )


def _panel(
    trace: CoordinateTrace, theme: Theme, number: str, legend: bool, seen: Callable[[Array, Array], NDArray[np.intp]]
) -> list[Mark]:
    """Return the marks of one coordinate, with those of its points that `seen` returns the indices of."""
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
    marks = [true]
    for values, name, marker in ((trace.empirical, "empiricalized", empirical), (trace.mapa, "MAPA", mapa)):
        index = seen(trace.z, values)
        marks.append(_points(trace.z[index], values[index], name, marker, axes, legend))
    return marks


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
    left, right, top, bottom = MARGIN
    layout = frame(theme, WIDTH, HEIGHT, MARGIN, showlegend=True)
    layout["yaxis"] = axis(theme, "log density (nats)", range=span, nticks=6)
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    share = (1 + PARTED) / len(traces)
    size = np.array([(share - PARTED) * (WIDTH - left - right), HEIGHT - top - bottom])
    data: list[Mark] = []
    for k, trace in enumerate(traces):
        number = nth(k)
        extent = _line_extent(trace, span[0])
        data += _panel(trace, theme, number, k == 0, partial(one_a_pixel, x_range=extent, y_range=span, size=size))
        layout[f"xaxis{number}"] = axis(
            theme,
            with_unit(trace.coordinate),
            domain=[k * share, (k + 1) * share - PARTED],
            range=extent,
            nticks=6,
        )
    return figure_of(data, layout)
