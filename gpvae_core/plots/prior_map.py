"""GP-Prior Lab: the map of the latents, coloured by a column of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import PriorMap
from gpvae_core.plots.class_marks import class_marks
from gpvae_core.plots.marks import Mark, figure_of, placed, scattergl
from gpvae_core.plots.theme import Theme, axis, bare_axis, frame, plain

WIDTH, HEIGHT = 440, 330
IN_LEGEND = 12
"""Most categories that the legend has room for."""


def figure(view: PriorMap, colour: str, theme: Theme) -> go.Figure:
    """Return the map coloured by a number or a category, which is one of `view.colours`."""
    legend = False
    size = 6.0 if len(view.index) <= 800 else 4.0
    if colour in view.numbers:
        marks = [_by_number(view, colour, theme, size)]
    else:
        codes, names = view.categories[colour]
        legend = len(np.unique(codes)) <= IN_LEGEND
        marks = class_marks(replace(view, class_index=codes, class_names=names), theme, "image", size=size)
    layout = frame(theme, WIDTH, HEIGHT, (46, 4, 8, 38), showlegend=legend, hovermode="closest")
    named = bool(view.labels[0])
    layout["xaxis"] = axis(theme, view.labels[0], showgrid=False) if named else bare_axis()
    layout["yaxis"] = axis(theme, view.labels[1], showgrid=False) if named else bare_axis()
    layout["legend"] = {"x": 1.01, "y": 1.0, "font": {"size": 11, "color": theme.text}, "itemsizing": "constant"}
    return figure_of(marks, layout)


def _by_number(view: PriorMap, colour: str, theme: Theme, size: float) -> Mark:
    values, period = view.numbers[colour], view.periods.get(colour)
    low, high = (0.0, period) if period else (float(values.min()), float(values.max()))
    bar = {
        "title": {"text": plain(colour), "side": "right", "font": {"size": 11}}, "thickness": 12, "len": 0.95,
        "tickfont": {"size": 10, "color": theme.muted}, "outlinewidth": 0,
    }  # fmt: skip
    marker: dict[str, Any] = {
        "color": (values % period if period else values).tolist(), "cmin": low, "cmax": high, "size": size,
        "colorscale": theme.around_scale if period else theme.sequential_scale, "colorbar": bar,
    }  # fmt: skip
    hover = f"image %{{customdata}}: {plain(colour)} %{{text}}<extra></extra>"
    text = [f"{value:.4g}" for value in values]
    return scattergl(**placed(view.xy, view.index, slice(None)), marker=marker, text=text, hovertemplate=hover)
