"""MAPA Lab: the training points in the plane over their density, with the chosen point and its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.errors import unknown
from gpvae_core.formatting import typographic
from gpvae_core.inspection.level_lines import level_lines
from gpvae_core.inspection.mapa_lab.views import PlaneView
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.plots.marks import Mark, figure_of, scatter, scattergl
from gpvae_core.plots.theme import Theme, axis, frame, plain

WIDTH, HEIGHT = 440, 350
COLOURS = ("z", "q")
LEVELS = (-0.5, -1.5, -3.0, -5.0)
"""Levels of the contours relative to the highest log density, nats."""
SHOWN_NATS = 12.0
"""Range of the colour scale of log q, nats; less probable points have the palest colour."""
SVG_UP_TO = 2500
Z_REACH = 2.5
"""Largest |z| of the colour scale of latents."""


def contours(x: Array, y: Array, log_density: Array, colour: str, name: str, dash: str = "solid", **more: Any) -> Mark:
    """Return contours at LEVELS below the maximum, as one trace."""
    top = float(log_density.max())
    gap = np.full((1, 2), np.nan)
    pieces = [part for level in LEVELS for part in (level_lines(x, y, log_density, top + level), gap)]
    lines = np.concatenate(pieces)
    style = {"color": colour, "width": 1, "dash": dash}
    return scatter(x=lines[:, 0], y=lines[:, 1], mode="lines", line=style, name=name, hoverinfo="skip", **more)


def equal_axes(theme: Theme, x: Array, y: Array) -> dict[str, Any]:
    """Return axes of both coordinates with equal scales."""
    return {
        "xaxis": axis(theme, "x₁ (data units)", range=[float(x[0]), float(x[-1])], constrain="domain"),
        "yaxis": axis(theme, "x₂ (data units)", range=[float(y[0]), float(y[-1])], scaleanchor="x", constrain="domain"),
    }


def _values(view: PlaneView, colour: str) -> tuple[Array, dict[str, Any], str]:
    if colour == "z":
        return view.z, {"cmin": -Z_REACH, "cmax": Z_REACH}, "true z (prior sd)"
    top = float(view.log_q.max())
    return view.log_q, {"cmin": top - SHOWN_NATS, "cmax": top}, "log q(i|n) (nats)"


def _points(view: PlaneView, theme: Theme, colour: str) -> Mark:
    values, limits, title = _values(view, colour)
    draw = scatter if len(view.points) <= SVG_UP_TO else scattergl
    return draw(
        x=view.points[:, 0],
        y=view.points[:, 1],
        customdata=np.arange(len(view.points)),
        text=[f"{value:.3g}" for value in values],
        mode="markers",
        name="training points",
        marker={
            "size": 4.5 if len(view.points) <= SVG_UP_TO else 3,
            "color": values.tolist(),  # NOTE: a list, because Panel loses arrays nested in a marker at an update
            "colorscale": theme.sequential_scale,
            **limits,
            "colorbar": {
                "title": {"text": title, "side": "right", "font": {"size": 11}},
                "thickness": 10, "len": 0.9, "tickfont": {"size": 10, "color": theme.muted}, "outlinewidth": 0,
            },
        },
        hovertemplate=f"point %{{customdata}}, {title} %{{text}}<extra></extra>",
    )  # fmt: skip


def _marked(view: PlaneView, rows: Indices, name: str, marker: dict[str, Any]) -> Mark:
    return scatter(
        x=view.points[rows, 0],
        y=view.points[rows, 1],
        customdata=rows,
        text=[f"{np.exp(value):.3g}" for value in view.log_q[rows]],
        mode="markers",
        name=name,
        marker=marker,
        hovertemplate=f"{name}: point %{{customdata}}, q = %{{text}}<extra></extra>",
    )


def figure(view: PlaneView, theme: Theme, colour: str = "z") -> go.Figure:
    """Return the points, coloured by their true latent ("z") or log q(i|n) ("q"); `customdata` is the training index.

    Raises:
        UserError: the colour is not one of COLOURS.
    """
    if colour not in COLOURS:
        raise unknown("colour of the plane", colour, COLOURS)
    diamond = {
        "symbol": "diamond",
        "size": 8,
        "color": theme.gaussians[0].colour,
        "line": {"color": theme.edge, "width": 0.8},
    }
    ring = {"symbol": "circle-open", "size": 13, "color": theme.text, "line": {"width": 1.4}}
    star = {"symbol": "star", "size": 15, "color": theme.base, "line": {"color": theme.highlight, "width": 1.2}}
    chosen = scatter(
        x=[float(view.chosen.x[0])], y=[float(view.chosen.x[1])], mode="markers", name="chosen x", marker=star,
        hovertemplate=f"{typographic(plain(view.chosen.title))}<extra></extra>",
    )  # fmt: skip
    marks = [
        contours(view.x, view.y, view.log_density, theme.muted, "density p(x)"),
        _points(view, theme, colour),
        _marked(view, np.unique(view.drawn), "drawn", ring),
        _marked(view, view.head, "k most probable", diamond),
        chosen,
    ]
    layout = frame(theme, WIDTH, HEIGHT, (46, 8, 48, 40), showlegend=True, hovermode="closest", uirevision="plane")
    layout |= equal_axes(theme, view.x, view.y)
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)", "itemsizing": "constant",
    }  # fmt: skip
    return figure_of(marks, layout)
