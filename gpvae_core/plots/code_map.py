"""MAPA Lab: the codes of the training images, with the neighbours of a test image."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.image_views import CodesView
from gpvae_core.inspection.views import Indices
from gpvae_core.plots.class_marks import class_marks
from gpvae_core.plots.marks import Mark, figure_of, placed, scatter
from gpvae_core.plots.theme import Theme, axis, frame

WIDTH, HEIGHT = 560, 440


def _neighbours(view: CodesView, rows: Indices, name: str, marker: dict[str, Any]) -> Mark:
    return scatter(
        **placed(view.xy, view.index, rows),
        name=name,
        marker=marker,
        hovertemplate=f"{name}: training image %{{customdata}}<extra></extra>",
    )


def figure(view: CodesView, theme: Theme) -> go.Figure:
    """Return the map with rings at the model's neighbours, diamonds at MAPA's; `customdata` is the training index."""
    diamond = {"symbol": "diamond-open", "size": 12, "color": theme.gaussians[0].colour, "line": {"width": 2.2}}
    ring = {"symbol": "circle-open", "size": 12, "color": theme.base, "line": {"width": 2.2}}
    star = {"symbol": "star", "size": 15, "color": theme.highlight, "line": {"color": theme.edge, "width": 1}}
    own = scatter(
        x=[float(view.place[0])], y=[float(view.place[1])], mode="markers", name="the test image", marker=star,
        hovertemplate="the test image's own code<extra></extra>",
    )  # fmt: skip
    marks = [
        *class_marks(view, theme, "training image", size=4, opacity=0.45),
        _neighbours(view, view.empirical, "near by the model", ring),
        _neighbours(view, view.mapa, "near by MAPA", diamond),
        own,
    ]
    layout = frame(theme, WIDTH, HEIGHT, (50, 8, 8, 42), showlegend=True, hovermode="closest", uirevision="codes")
    layout["xaxis"] = axis(theme, view.x_label)
    layout["yaxis"] = axis(theme, view.y_label)
    layout["legend"] = {
        "x": 1.01, "y": 1.0, "xanchor": "left", "yanchor": "top", "font": {"size": 11, "color": theme.text},
        "itemsizing": "constant", "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of(marks, layout)
