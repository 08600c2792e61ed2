"""Fig. 1 of Kim & Pavlovic (2021) for a run: six instances in the order of uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.uncertainty_views import FigureOneItem
from gpvae_core.plots.marks import Mark, figure_of
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.plane_panel import hidden_words, inside, panel
from gpvae_core.plots.posterior import base_dots, density_traces, note_style
from gpvae_core.plots.posterior_line import line_axes, on_line, sample_marks, true_marks
from gpvae_core.plots.theme import Theme, frame, heading, nth

WIDTH, HEIGHT = 960, 308
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 24
PANEL_FLOOR = 0.42
"""Lower end of the contour panels in paper coordinates; the images are below."""
GAP = 0.03
KEY = (
    "lines: the regions that hold 50, 90, 99 % of the true posterior; red dots: samples of {base}; "
    "both axes in prior sd, at one scale"
)
KEY_OF_LINES = (
    "curve: the density of the true posterior; bars: the intervals that hold 50, 90, 99 % of it; red: samples of {base}"
)


def _panel(
    item: FigureOneItem, theme: Theme, k: int, left: float, right: float
) -> tuple[list[Mark], dict[str, Any], str]:
    """Return the marks of an instance's panel, its axes, and in words what lies outside of it."""
    view = item.posterior
    if isinstance(view, LineView):
        axes = {"xaxis": f"x{nth(k)}", "yaxis": f"y{nth(k)}"}
        traces = [*true_marks(view, theme, axes, False), sample_marks(view, theme, axes, False)]
        layout = line_axes(view, theme, nth(k), (left, right), domain=[PANEL_FLOOR, 1.0])
        layout[f"yaxis{nth(k)}"] |= {"title": None, "tickvals": []}
        for trace in traces:
            trace["meta"] = item.index
        return (
            traces,
            layout,
            hidden_words(on_line(view.base_samples, view), "sample"),
        )
    size = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
    place = panel(view, nth(k), (left, right), (PANEL_FLOOR, 1.0), size)
    traces = [
        *density_traces(view, theme, place.axes, False),
        base_dots(view, theme, place.axes, 3.0, False),
    ]
    for trace in traces:
        trace["meta"] = item.index
    titles = (view.plane.x_label, view.plane.y_label) if k == 0 else ("", "")
    return traces, place.layout(theme, *titles, 4), hidden_words(inside(view.base_samples, place), "sample")


def _heading(item: FigureOneItem) -> str:
    value = f"{item.uncertainty:.1e}" if item.uncertainty < 1e-3 else f"{item.uncertainty:.2g}"
    return f"Tr V = {value} · image {item.index}"


def figure(items: Sequence[FigureOneItem], theme: Theme) -> go.Figure:
    """Return contours with the base encoder's samples, above input and reconstruction; the least uncertain is first."""
    layout = frame(theme, WIDTH, HEIGHT, (LEFT, RIGHT, TOP, BOTTOM))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    traces: list[Mark] = []
    images, notes = [], []
    share = (1.0 + GAP) / max(len(items), 1)
    for k, item in enumerate(items):
        left, right = k * share, (k + 1) * share - GAP
        marks, axes, hidden = _panel(item, theme, k, left, right)
        traces += marks
        layout |= axes
        if hidden:
            notes.append(heading(theme, hidden, right, 1.0, xanchor="right", yanchor="top", **note_style(theme)))
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
                _heading(item),
                left,
                1.0,
                yshift=4,
                font={"size": 10, "color": theme.text},
            )
        )
    lines = any(isinstance(item.posterior, LineView) for item in items)
    key = (KEY_OF_LINES if lines else KEY).format(base=items[0].posterior.base_name if items else "q(z|x)")
    notes.append(heading(theme, key, 0.0, 0.0, yshift=-20, font={"size": 10, "color": theme.muted}))
    layout["images"], layout["annotations"] = images, notes
    return figure_of(traces, layout)
