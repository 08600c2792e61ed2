"""Traces as plain dicts, and the figures of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

Mark: TypeAlias = dict[str, Any]


def figure_of(marks: Sequence[Mark], layout: dict[str, Any]) -> go.Figure:
    """Return a figure of these traces with this layout.

    Plotly does not check the fields, which would take most of the time to build a figure: in the tests it does.
    """
    return go.Figure(list(marks), layout, _validate=False)


def scatter(**fields: Any) -> Mark:
    """Return a trace of points or lines, drawn as SVG."""
    return {"type": "scatter", **fields}


def scattergl(**fields: Any) -> Mark:
    """Return a trace of many points, drawn by WebGL."""
    return {"type": "scattergl", **fields}


def placed(xy: np.ndarray, index: np.ndarray, rows: Any) -> Mark:
    """Return the fields of a trace with these rows of a map's points; `customdata` is their index."""
    return {"x": xy[rows, 0], "y": xy[rows, 1], "customdata": index[rows], "mode": "markers"}


SIDES = {"left": "right", "center": "center", "right": "left", "bottom": "top", "middle": "middle", "top": "bottom"}
"""Which part of a text is at its point -> on which side of the point the text is then."""


def texts(notes: Sequence[Mark]) -> Mark:
    """Return a trace of texts at points of the axes, each with its `text`, `x`, `y`, `xanchor`, `yanchor` and `font`.

    Plotly lays out and measures every annotation twice at each drawing, and the texts of a trace once. A `hovertext`
    is shown where the pointer is at its point.
    """
    return scatter(
        x=[note["x"] for note in notes],
        y=[note["y"] for note in notes],
        text=[note["text"] for note in notes],
        mode="text",
        textposition=[f"{SIDES[note['yanchor']]} {SIDES[note['xanchor']]}" for note in notes],
        textfont={name: [note["font"][name] for note in notes] for name in ("size", "color")},
        hovertext=[note.get("hovertext", "") for note in notes],
        hoverinfo="text" if any("hovertext" in note for note in notes) else "skip",
        cliponaxis=False,
        showlegend=False,
    )


def bar(**fields: Any) -> Mark:
    """Return a trace of bars."""
    return {"type": "bar", **fields}


def heatmap(**fields: Any) -> Mark:
    """Return a trace of a grid of values in colour."""
    return {"type": "heatmap", **fields}
