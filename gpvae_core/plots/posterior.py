"""View 1: the true posterior over the latent plane with what the encoders say about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.explore.views import PosteriorView
from gpvae_core.plots.ellipse import ellipse
from gpvae_core.plots.level_lines import level_lines
from gpvae_core.plots.marks import Mark, heatmap, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, with_unit, wrapped

WIDTH, HEIGHT = 440, 260
ELLIPSE_MASS = 0.9
NATS_SHOWN = 14.0
"""Log density is shaded down to this far below its peak."""
CONTOUR_WIDTHS = (2.2, 1.6, 1.0)
MAPA_SMALLEST, MAPA_GROWTH = 4.0, 12.0
"""Diameter in pixels of a MAPA point without probability, and what all of it adds: by its square root."""


def density_traces(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool = True) -> list[Mark]:
    """Shaded log density and one line at each HPD threshold."""
    z = view.log_density.astype(np.float32)
    peak = float(np.nanmax(z))
    shade = heatmap(
        x=view.x,
        y=view.y,
        z=z,
        zmin=peak - NATS_SHOWN,
        zmax=peak,
        colorscale=theme.density_scale,
        showscale=False,
        hovertemplate="(%{x:.2f}, %{y:.2f}): log p(z|x) = %{z:.2f} nats<extra></extra>",
        name="log density",
        **axes,
    )
    lines = []
    for k, (mass, threshold) in enumerate(view.hpd_levels):
        line = level_lines(view.x, view.y, view.log_density, threshold)
        lines.append(
            scatter(
                x=line[:, 0],
                y=line[:, 1],
                mode="lines",
                line={"color": theme.contour, "width": CONTOUR_WIDTHS[min(k, 2)]},
                hoverinfo="skip",
                name=f"true posterior, {100 * mass:g} %",
                showlegend=legend,
                **axes,
            )
        )
    return [shade, *lines]


def base_dots(
    view: PosteriorView,
    theme: Theme,
    axes: dict[str, str],
    size: float,
    legend: bool = True,
) -> Mark:
    """Samples of the base encoder N(b, c^2), red with an edge."""
    return scatter(
        x=view.base_samples[:, 0],
        y=view.base_samples[:, 1],
        mode="markers",
        marker={
            "color": theme.base,
            "size": size,
            "line": {"color": theme.edge, "width": 0.6},
        },
        name="base encoder",
        showlegend=legend,
        hoverinfo="skip",
        **axes,
    )


def _ellipses(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    traces = []
    for shape, style in zip(view.gaussians, theme.gaussians, strict=False):
        outline = ellipse(shape.mean, shape.covariance, ELLIPSE_MASS)
        traces.append(
            scatter(
                x=outline[:, 0],
                y=outline[:, 1],
                mode="lines",
                line={"color": style.colour, "dash": style.dash, "width": style.width},
                name=wrapped(f"{shape.name}, {100 * ELLIPSE_MASS:g} %", 22),
                showlegend=legend,
                legendgroup=shape.name,
                hoverinfo="name",
                **axes,
            )
        )
    return traces


def _points(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    weights = np.asarray(view.mapa_weights, dtype=float)
    mapa = scatter(
        x=view.mapa_points[:, 0],
        y=view.mapa_points[:, 1],
        mode="markers",
        marker={
            "color": theme.mapa,
            "symbol": "diamond",
            "size": (MAPA_SMALLEST + MAPA_GROWTH * np.sqrt(np.clip(weights, 0.0, 1.0))).tolist(),
            "line": {"color": theme.highlight, "width": 0.8},
        },
        customdata=weights,
        hovertemplate="MAPA q(i|n) = %{customdata:.3f}<extra></extra>",
        name="MAPA points",
        showlegend=legend,
        **axes,
    )
    modes = scatter(
        x=view.modes[:, 0],
        y=view.modes[:, 1],
        mode="markers",
        marker={
            "color": theme.highlight,
            "symbol": "cross-thin",
            "size": 11,
            "line": {"color": theme.highlight, "width": 2},
        },
        hovertemplate="mode (%{x:.3f}, %{y:.3f})<extra></extra>",
        name="modes",
        showlegend=legend,
        **axes,
    )
    return [mapa, modes]


def _panel(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    return [
        *density_traces(view, theme, axes, legend),
        base_dots(view, theme, axes, 4.5, legend),
        *_points(view, theme, axes, legend),
        *_ellipses(view, theme, axes, legend),
    ]


def plane_axes(view: PosteriorView, theme: Theme, number: str) -> dict[str, Any]:
    """The two axes of a panel, spanning the view's grid."""
    return {
        f"xaxis{number}": axis(
            theme,
            with_unit(view.plane.x_label),
            range=[float(view.x[0]), float(view.x[-1])],
            showgrid=False,
            nticks=6,
        ),
        f"yaxis{number}": axis(
            theme,
            with_unit(view.plane.y_label),
            range=[float(view.y[0]), float(view.y[-1])],
            showgrid=False,
            nticks=6,
        ),
    }


def figure(views: Sequence[PosteriorView], names: Sequence[str], theme: Theme) -> go.Figure:
    """One panel per run (one or two), side by side; a legend beside one panel, below two."""
    return _single(views[0], theme) if len(views) == 1 else _pair(views, names, theme)


def _legend(theme: Theme, **place: Any) -> dict[str, Any]:
    return {
        "font": {"size": 10, "color": theme.text},
        "bgcolor": "rgba(0,0,0,0)",
        "itemwidth": 30,
        "tracegroupgap": 0,
        **place,
    }


def _single(view: PosteriorView, theme: Theme) -> go.Figure:
    layout = frame(theme, WIDTH, HEIGHT, (44, 4, 8, 38), showlegend=True)
    layout |= plane_axes(view, theme, "")
    layout["xaxis"]["domain"] = [0.0, 0.64]
    layout["legend"] = _legend(theme, x=0.66, y=1.0, xanchor="left", yanchor="top")
    return go.Figure(_panel(view, theme, {"xaxis": "x", "yaxis": "y"}, True), layout)


def _pair(views: Sequence[PosteriorView], names: Sequence[str], theme: Theme) -> go.Figure:
    layout = frame(theme, WIDTH, HEIGHT, (40, 4, 20, 104), showlegend=True)
    layout |= plane_axes(views[0], theme, "") | plane_axes(views[1], theme, "2")
    layout["xaxis"]["domain"], layout["xaxis2"]["domain"] = [0.0, 0.45], [0.56, 1.0]
    layout["yaxis2"]["anchor"] = "x2"
    layout["annotations"] = [
        heading(theme, f"<b>{name}</b>", x, 1.0, yshift=3) for name, x in zip(names, (0.0, 0.56), strict=True)
    ]
    layout["legend"] = _legend(theme, x=0.0, y=-0.24, xanchor="left", yanchor="top", orientation="h")
    fullest = max(range(2), key=lambda k: len(views[k].gaussians))
    traces = [
        *_panel(views[0], theme, {"xaxis": "x", "yaxis": "y"}, fullest == 0),
        *_panel(views[1], theme, {"xaxis": "x2", "yaxis": "y2"}, fullest == 1),
    ]
    return go.Figure(traces, layout)
