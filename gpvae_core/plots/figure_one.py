"""Fig. 1 of Kim & Pavlovic (2021), live: six instances in order of uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gpvae_core.explore.views import FigureOneItem
from gpvae_core.plots.marks import Mark
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.posterior import base_dots, density_traces
from gpvae_core.plots.theme import Theme, axis, frame, heading, with_unit

WIDTH, HEIGHT = 960, 290
LEFT, RIGHT, TOP, BOTTOM = 36, 6, 24, 6
PANEL_FLOOR = 0.42
"""Contour panels fill the figure from here up, the images lie below; in paper coordinates."""
GAP = 0.03


def _panel(item: FigureOneItem, theme: Theme, k: int, left: float, right: float) -> tuple[list[Mark], dict[str, Any]]:
    number = "" if k == 0 else str(k + 1)
    axes = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
    view = item.posterior
    traces = [
        *density_traces(view, theme, axes, False),
        base_dots(view, theme, axes, 3.0, False),
    ]
    for trace in traces:
        trace["meta"] = item.index
    layout = {
        f"xaxis{number}": axis(
            theme,
            with_unit(view.plane.x_label) if k == 0 else "",
            domain=[left, right],
            anchor=axes["yaxis"],
            range=[float(view.x[0]), float(view.x[-1])],
            showgrid=False,
            nticks=4,
        ),
        f"yaxis{number}": axis(
            theme,
            with_unit(view.plane.y_label) if k == 0 else "",
            domain=[PANEL_FLOOR, 1.0],
            anchor=axes["xaxis"],
            range=[float(view.y[0]), float(view.y[-1])],
            showgrid=False,
            nticks=4,
        ),
    }
    return traces, layout


def figure(items: Sequence[FigureOneItem], theme: Theme) -> go.Figure:
    """Contours with the base encoder's dots above, input and reconstruction below, least uncertain first."""
    layout = frame(theme, WIDTH, HEIGHT, (LEFT, RIGHT, TOP, BOTTOM))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    traces: list[Mark] = []
    images, notes = [], []
    share = (1.0 + GAP) / max(len(items), 1)
    for k, item in enumerate(items):
        left, right = k * share, (k + 1) * share - GAP
        panel, axes = _panel(item, theme, k, left, right)
        traces += panel
        layout |= axes
        size = min(0.47 * (right - left) * width, 62.0)
        for which, image in enumerate((item.image, item.reconstruction)):
            x = left + which * (size + 6.0) / width
            picture = placed(
                image,
                x,
                (size + 16.0) / height,
                size / width,
                xref="paper",
                yref="paper",
            )
            images.append(picture | {"sizey": size / height})
            notes.append(
                heading(
                    theme,
                    ("input", "reconstr.")[which],
                    x,
                    0.0,
                    font={"size": 10, "color": theme.muted},
                )
            )
        notes.append(
            heading(
                theme,
                f"{item.uncertainty:.3g} · image {item.index}",
                left,
                1.0,
                yshift=4,
            )
        )
    layout["images"], layout["annotations"] = images, notes
    return go.Figure(traces, layout)
