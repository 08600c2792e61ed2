"""View 4: the map of the latents, by t-SNE or along the line at d = 1, coloured by class, uncertainty or gap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.views import Array, MapView
from gpvae_core.plots.class_marks import class_marks
from gpvae_core.plots.marks import Mark, figure_of, placed, scattergl
from gpvae_core.plots.theme import Theme, axis, bare_axis, frame, with_unit

WIDTH, HEIGHT = 440, 260
COLOURS = ("class", "uncertainty", "gap")
RING = 9
"""Radius in pixels of the ring around the chosen instance."""


def _points(view: MapView, rows: Any, marker: dict[str, Any], name: str, **more: Any) -> Mark:
    return scattergl(
        **placed(view.xy, view.index, rows),
        marker=marker,
        name=name,
        **{
            "hovertemplate": f"%{{customdata}}{name and ' · ' + name}<extra></extra>",
            **more,
        },
    )


def _size(view: MapView) -> float:
    return 6.0 if len(view.index) <= 3000 else 3.5


def _labels(ticks: list[float], shown: Array) -> list[str]:
    """Return the ticks as text; the first and last are marked with ≤ or ≥ if values exceed them."""
    text = [f"{v:.2g}" if v < 100 else f"{v:.0f}" for v in ticks]
    text[0] = ("≤ " if shown.min() < ticks[0] else "") + text[0]
    text[-1] = ("≥ " if shown.max() > ticks[-1] else "") + text[-1]
    return text


def _ticks(low: float, high: float, shown: Array) -> tuple[list[float], list[str]]:
    """Return ticks at both ends and at round values between them: their log10, and their labels."""
    steps = (1.0,) if high / low > 1e3 else (1.0, 2.0, 5.0) if high / low < 1e2 else (1.0, 3.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    between = [step * 10.0**k for k in decades for step in steps]
    spacing = (high / low) ** 0.07  # smallest ratio of a tick to either end
    values = [low, *(v for v in between if low * spacing < v < high / spacing), high]
    return [math.log10(v) for v in values], _labels(values, shown)


def _scale(known: Array) -> tuple[Array, dict[str, Any], dict[str, Any]]:
    """Return the values to colour by, their limits (2nd and 98th percentile) and ticks.

    The scale is logarithmic if all values are positive and span more than a decade.
    """
    low, high = (float(v) for v in np.percentile(known, [2, 98]))
    if known.min() <= 0.0 or high <= 10.0 * low:
        tickvals = np.linspace(low, max(high, low + 1e-9), 5)
        limits = {"cmin": low, "cmax": float(tickvals[-1])}
        return known, limits, {"tickvals": tickvals.tolist(), "ticktext": _labels(tickvals.tolist(), known)}
    tickvals, text = _ticks(low, high, known)
    return np.log10(known), {"cmin": tickvals[0], "cmax": tickvals[-1]}, {"tickvals": tickvals, "ticktext": text}


def _by_value(view: MapView, values: Array, theme: Theme, title: str) -> list[Mark]:
    """Return finite values in colour, on the scale of `_scale`, and missing ones as pale open circles."""
    known = np.isfinite(values)
    traces = []
    if not known.all():
        pale = {"color": theme.grid, "size": _size(view), "symbol": "circle-open"}
        traces.append(_points(view, ~known, pale, "not computed"))
    if known.any():
        colour, limits, ticks = _scale(values[known])
        marker = {
            "color": colour.tolist(),
            **limits,
            "colorscale": theme.sequential_scale,
            "size": _size(view),
            "colorbar": {
                "title": {"text": title, "side": "right", "font": {"size": 11}},
                "thickness": 12, "len": 0.95, "tickfont": {"size": 10, "color": theme.muted}, "outlinewidth": 0,
                **ticks,
            },
        }  # fmt: skip
        hover = f"image %{{customdata}}: {title} %{{text}}<extra></extra>"
        text = [f"{value:.3g}" for value in values[known]]
        traces.append(_points(view, known, marker, title, hovertemplate=hover, text=text))
    return traces


def _traces(view: MapView, theme: Theme, colour: str) -> list[Mark]:
    if colour not in COLOURS:
        raise unknown("colour of the map", colour, COLOURS)
    if colour == "class":
        return class_marks(view, theme, "image", size=_size(view))
    values, title = {
        "uncertainty": (view.uncertainty, "Tr V[f] + Tr V[h]"),
        "gap": (view.gap, "inference gap (nats)"),
    }[colour]
    if values is None:
        raise UserError(f"the map cannot be coloured by {colour}: this run has none (yet)")
    return _by_value(view, values, theme, title)


def highlight(xy: Array | None, theme: Theme) -> list[dict[str, Any]]:
    """Return a ring around the chosen instance at `xy` (2,); [] if there is none."""
    # The ring is a shape of the layout, so that moving it does not redraw the points, and its size is in pixels, so
    # that zooming does not change it.
    if xy is None:
        return []
    ring = {
        "type": "circle", "xsizemode": "pixel", "ysizemode": "pixel", "xanchor": float(xy[0]), "yanchor": float(xy[1]),
        "xref": "x", "yref": "y",
    }  # fmt: skip

    def circle(radius: int, line: dict[str, Any]) -> dict[str, Any]:
        return ring | {
            "x0": -radius,
            "x1": radius,
            "y0": -radius,
            "y1": radius,
            "line": line,
        }

    inner = {"color": theme.base, "width": 3}
    return [
        circle(RING, inner),
        circle(RING + 3, {"color": theme.highlight, "width": 1.5}),
    ]


def figure(view: MapView, theme: Theme, colour: str = "class", chosen: Array | None = None) -> go.Figure:
    """Return the map; `customdata` is the test index. Raises UserError if the run lacks the values to colour by."""
    margin = (4, 4, 4, 38 if view.x_label else 4)
    layout = frame(
        theme, WIDTH, HEIGHT, margin, showlegend=colour == "class", hovermode="closest", dragmode="pan",
    )  # fmt: skip
    bare = bare_axis(fixedrange=False)
    layout |= {
        "xaxis": axis(theme, with_unit(view.x_label), showgrid=False) if view.x_label else bare,
        "yaxis": bare,
        "uirevision": "map",
    }
    layout["legend"] = {
        "x": 1.01, "y": 1.0, "xanchor": "left", "yanchor": "top", "font": {"size": 11, "color": theme.text},
        "itemsizing": "constant", "bgcolor": "rgba(0,0,0,0)", "tracegroupgap": 0,
    }  # fmt: skip
    layout["shapes"] = highlight(chosen, theme)
    return figure_of(_traces(view, theme, colour), layout)
