"""MAPA Lab: true, empiricalized and MAPA posterior of one point against the latents (Yacoby et al. 2024, D.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.views import TraceView
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.plots.marks import Mark, figure_of, scatter, scattergl
from gpvae_core.plots.theme import Theme, axis, frame, plain

WIDTH, HEIGHT = 540, 350
TRUE, EMPIRICAL, MAPA = "true posterior", "empiricalized", "MAPA"
HEAD, DRAWN = "k most probable", "drawn"
REACH = 4.0
"""Largest |z| of the displayed line, unless all of it is beyond; the prior has a mass of 6e-5 there."""
SVG_UP_TO = 2500
"""Largest number of points drawn as SVG. More are drawn by WebGL, which allows only a few contexts per page."""


def _cloud(view: TraceView, rows: Indices, values: Array, name: str, marker: dict[str, Any], **more: Any) -> Mark:
    """Return the points `rows` with finite values; `customdata` is the training index."""
    rows = rows[np.isfinite(values[rows])]
    draw = scatter if len(rows) <= SVG_UP_TO else scattergl
    return draw(
        x=view.z[rows],
        y=values[rows],
        customdata=rows,
        mode="markers",
        name=name,
        legendgroup=name,
        marker=marker,
        hovertemplate=f"{name}: point %{{customdata}}, z = %{{x:.3f}}, %{{y:.2f}} nats<extra></extra>",
        **more,
    )


def panel(view: TraceView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    """Return the line and the points; the k most probable ones are filled, and the drawn ones have rings."""
    blue = theme.gaussians[0].colour
    rest = np.setdiff1d(np.arange(len(view.z)), view.head)
    more = {**axes, "showlegend": legend}
    line = scatter(
        x=view.line_z,
        y=view.line,
        mode="lines",
        name=TRUE,
        legendgroup=TRUE,
        line={"color": theme.highlight, "width": 1.8},
        hovertemplate="true: %{y:.2f} nats at z = %{x:.3f}<extra></extra>",
        **more,
    )
    empirical = {"symbol": "circle", "size": 4.5, "color": theme.base}
    open_ = {"symbol": "diamond-open", "size": 6, "color": blue, "line": {"width": 1}}
    filled = {"symbol": "diamond", "size": 8, "color": blue, "line": {"color": theme.edge, "width": 0.8}}
    ring = {"symbol": "circle-open", "size": 13, "color": theme.text, "line": {"width": 1.4}}
    return [
        line,
        _cloud(view, rest, view.mapa, MAPA, open_, **more),
        _cloud(view, np.arange(len(view.z)), view.empirical, EMPIRICAL, empirical, **more),
        _cloud(view, np.unique(view.drawn), view.mapa, DRAWN, ring, **more),
        _cloud(view, view.head, view.mapa, HEAD, filled, **more),
    ]


def span(views: Sequence[TraceView]) -> list[float]:
    """Return the vertical range of all finite values."""
    values = np.concatenate([part for view in views for part in (view.line, view.empirical, view.mapa)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (-1.0, 0.0)
    pad = 0.05 * (high - low) + 0.1
    return [low - pad, high + pad]


def extent(view: TraceView) -> list[float]:
    """Return the horizontal range of the line, within REACH, and of the points with finite values."""
    on_scale = np.isfinite(view.empirical) | np.isfinite(view.mapa)
    line = view.line_z[np.isfinite(view.line)]
    inside = line[np.abs(line) <= REACH]
    z = np.concatenate([inside if inside.size else line, view.z[on_scale]])
    pad = 0.04 * float(np.ptp(z)) + 1e-3
    return [float(z.min()) - pad, float(z.max()) + pad]


def legend(theme: Theme, y: float = 1.0) -> dict[str, Any]:
    """Return the layout of a horizontal legend above the figure."""
    return {
        "orientation": "h", "x": 0.0, "y": y, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)", "itemsizing": "constant",
    }  # fmt: skip


def figure(view: TraceView, theme: Theme) -> go.Figure:
    """Return log posteriors against the latent; `customdata` of the points is the training index."""
    layout = frame(theme, WIDTH, HEIGHT, (50, 10, 48, 40), showlegend=True, hovermode="closest")
    layout["legend"] = legend(theme)
    layout["xaxis"] = axis(theme, f"{plain(view.latent)} (prior sd)", range=extent(view), nticks=8)
    layout["yaxis"] = axis(theme, "log posterior density (nats)", range=span([view]), nticks=7)
    return figure_of(panel(view, theme, {"xaxis": "x", "yaxis": "y"}, True), layout)
