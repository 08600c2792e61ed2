"""SVI step by step: outlines over the true posterior, ELBO against the step, and the frames of the animation of both.

The moving parts are drawn as shapes, which a browser redraws in a fraction of the time of a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import ContoursView, SviView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.posterior import density_traces, panel
from gpvae_core.plots.theme import Theme, axis, frame, plain, with_unit, wrapped

WIDTH, HEIGHT = 440, 320
DIGITS = 4
"""Decimals of the coordinates of a frame, which are in prior standard deviations."""
LABEL = 18
ENTRY, LINE, AROUND = 19, 10, 12
"""Height in pixels of an entry of the legend with one line, of each further line, and of what is around the entries."""


def contours(view: ContoursView, styles: Mapping[str, MethodStyle], theme: Theme) -> go.Figure:
    """Return the contours of the true posterior, and the outline and centre of each method's posterior."""
    left, right, top, bottom = margin = (50, 4, 8, 38)
    truth = view.truth
    # As high as its legend: plotly.js hides the end of one that is higher than the axes behind a scroll bar.
    labels = [wrapped(styles[outline.name].label, LABEL) for outline in view.outlines]
    entries = len(truth.hpd_levels) + 1 + len(labels)
    legend = AROUND + ENTRY * entries + LINE * sum(label.count("<br>") for label in labels)
    height = max(HEIGHT, legend + top + bottom)
    place = panel(truth, "", (0.0, 0.68), (0.0, 1.0), (WIDTH - left - right, height - top - bottom))
    layout = frame(theme, WIDTH, height, margin, showlegend=True)
    layout |= place.layout(theme, with_unit(truth.plane.x_label), with_unit(truth.plane.y_label), 6)
    layout["legend"] = {
        "x": 0.70, "y": 1.0, "xanchor": "left", "yanchor": "top", "font": {"size": 10, "color": theme.text},
        "bgcolor": "rgba(0,0,0,0)", "itemwidth": 30, "tracegroupgap": 0,
    }  # fmt: skip
    marks = density_traces(truth, theme, place.axes)
    for outline in view.outlines:
        marks += _outline(outline.name, outline.line, outline.centre, styles[outline.name], place.axes)
    marks.append(
        scatter(
            x=[None], y=[None], mode="lines+markers", name="SVI, at its step", legendrank=1,
            line={"color": theme.base, "width": 3}, marker={"color": theme.base, "size": 8}, **place.axes,
        )
    )  # fmt: skip
    return figure_of(marks, layout)


def _outline(name: str, line: Array, centre: Array, style: MethodStyle, axes: dict[str, str]) -> list[Mark]:
    edge = scatter(
        x=line[:, 0], y=line[:, 1], mode="lines", name=wrapped(style.label, LABEL), legendgroup=name,
        line={"color": style.colour, "dash": style.dash, "width": 2.2}, hoverinfo="name", **axes,
    )  # fmt: skip
    middle = scatter(
        x=[float(centre[0])], y=[float(centre[1])], mode="markers", name=plain(style.label), legendgroup=name,
        showlegend=False, marker={"symbol": style.symbol, "size": 7, "color": style.colour}, hoverinfo="name", **axes,
    )  # fmt: skip
    return [edge, middle]


def bound(view: SviView, theme: Theme) -> go.Figure:
    """Return the ELBO after each step, with log p(x) and the best Gaussians' ELBOs as lines."""
    steps = np.arange(len(view.elbo))
    finite = view.elbo[np.isfinite(view.elbo)]
    top = max(float(finite.max(initial=view.log_px)), view.log_px)
    low = min(float(finite.min(initial=view.best_diagonal_elbo)), view.best_diagonal_elbo)
    span = max(top - low, 1e-3)
    last = max(len(steps) - 1, 1)
    sign = "" if view.exact else " (at least)"
    full = ("best full Gaussian", view.best_full_elbo, "dot", 1.4)
    levels = (
        (f"log p(x){sign}", view.log_px, "solid", 2.0),
        *([] if view.full_is_diagonal else [full]),
        ("best diagonal Gaussian", view.best_diagonal_elbo, "dash", 1.4),
    )
    marks = [
        scatter(
            x=[0, last], y=[value, value], mode="lines", name=name,
            line={"color": theme.text, "dash": dash, "width": width},
            hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
        )
        for name, value, dash, width in levels
    ]  # fmt: skip
    marks.append(
        scatter(
            x=steps, y=view.elbo, mode="lines", name="ELBO of SVI", line={"color": theme.muted, "width": 1.2},
            hovertemplate="step %{x}: %{y:.3f} nats<extra></extra>",
        )
    )  # fmt: skip
    layout = frame(theme, WIDTH, HEIGHT, (58, 10, 8, 76), showlegend=True)
    layout["xaxis"] = axis(theme, "step of SVI", range=[-0.02 * last, 1.02 * last])
    layout["yaxis"] = axis(theme, "ELBO (nats)", range=[low - 0.05 * span, top + 0.06 * span])
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": -0.15, "xanchor": "left", "yanchor": "top", "itemwidth": 30,
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of(marks, layout)


def svg_path(line: Array) -> str:
    """Return a line (P, 2), with NaN between its pieces, as an SVG path in the figure's coordinates."""
    parts, pen = [], "M"
    for x, y in np.round(line, DIGITS):
        if not np.isfinite(x):
            pen = "M"
            continue
        parts.append(f"{pen}{x:g},{y:g}")
        pen = "L"
    return "".join(parts)


def _rounded(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def frames(view: SviView, theme: Theme) -> dict[str, Any]:
    """Return the data of the animation's player: outline, centre and ELBO of each step, None if not finite, and the
    colours of the moving marks and of the bar of gaps.

    With one latent dimension there are no outlines and centres.
    """
    return {
        "paths": [svg_path(outline.line) for outline in view.outlines],
        "centres": [[_rounded(c, DIGITS) for c in outline.centre] for outline in view.outlines],
        "elbo": [_rounded(e, 3) for e in view.elbo],
        "log_px": round(view.log_px, 3),
        "best_diagonal": round(view.best_diagonal_elbo, 3),
        "colour": theme.base,
        "bars": [theme.bar, theme.bar_other, theme.text],
    }
