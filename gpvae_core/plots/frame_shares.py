"""GP-Prior Lab: which of the frames given the prediction of each frame of a series rests on."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import SeriesView
from gpvae_core.plots.marks import figure_of, heatmap, scatter
from gpvae_core.plots.theme import Theme, axis, frame, plain

WIDTH, HEIGHT = 440, 330


def figure(view: SeriesView, theme: Theme) -> go.Figure:
    """Return the shares of the frames given (across) in the prediction of each frame (downwards), as a heat map."""
    count = len(view.times)
    shares = np.full((count, count), np.nan, np.float32)  # nothing is drawn in the columns of hidden frames
    if view.shares is not None:
        shares[:, view.seen] = view.shares
    predicted = np.arange(count) + 1
    bar = {
        "title": {"text": "share", "side": "right", "font": {"size": 11}}, "thickness": 12, "len": 1.0,
        "tickformat": ".0%", "tickfont": {"size": 10, "color": theme.muted}, "outlinewidth": 0,
    }  # fmt: skip
    marks = [
        heatmap(
            x=predicted, y=predicted, z=shares, zmin=0.0, zmax=float(np.nanmax(shares, initial=1e-12)),
            colorscale=theme.density_scale, colorbar=bar, name=plain(view.run),
            hovertemplate="frame %{y} rests on frame %{x}: %{z:.1%}<extra></extra>",
        )
    ]  # fmt: skip
    hidden = predicted[~view.seen]
    if hidden.size:
        marks.append(
            scatter(
                x=np.full(len(hidden), 0.0), y=hidden, mode="markers", name="frame hidden", hoverinfo="skip",
                marker={"symbol": "triangle-right", "size": 8, "color": theme.base},
            )
        )  # fmt: skip
    layout = frame(theme, WIDTH, HEIGHT, (46, 8, 8, 38))
    ticks = [int(tick) for tick in np.unique(np.linspace(1, count, min(count, 6)).round())]
    layout["xaxis"] = axis(theme, "frame given", range=[-1.0, count + 0.6], showgrid=False, tickvals=ticks)
    layout["yaxis"] = axis(theme, "frame predicted", range=[count + 0.6, 0.4], showgrid=False)
    return figure_of(marks, layout)
