"""MAPA Lab: the densities of the ground truth and of a trained model, on one colour scale."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gpvae_core.formatting import plus_minus, typographic
from gpvae_core.inspection.mapa_lab.views import DensityView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.mapa_plane import contours
from gpvae_core.plots.marks import Mark, figure_of, heatmap, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, nth, shortened, translucent

WIDTH, HEIGHT = 760, 400
SHARE = 0.44
LABEL = 30
MOST_SHOWN = 500


def _panel(view: DensityView, log_density: Array, name: str, theme: Theme, number: str, top: float) -> list[Mark]:
    axes = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
    field = heatmap(
        x=view.x, y=view.y, z=np.exp(log_density), zmin=0.0, zmax=top, colorscale=theme.density_scale, showscale=False,
        name=name, hovertemplate=f"{name}: %{{z:.3g}} at (%{{x:.2f}}, %{{y:.2f}})<extra></extra>", **axes,
    )  # fmt: skip
    lines = contours(view.x, view.y, log_density, theme.contour, f"contours of {name}", showlegend=False, **axes)
    return [field, lines]


def figure(view: DensityView, theme: Theme) -> go.Figure:
    """Return p_GT(x) on the left and p_model(x) on the right, both with the test points."""
    top = float(np.exp(view.log_true).max())
    model = f"p(x) of {shortened(view.name, LABEL)}"
    points = view.points[:MOST_SHOWN]
    marks: list[Mark] = []
    layout = frame(theme, WIDTH, HEIGHT, (48, 10, 46, 40), hovermode="closest")
    notes = []
    kl = f"test KL(p_GT ‖ p_model) = {typographic(plus_minus(view.test_kl.mean, view.test_kl.se))} nats"
    panels = ((view.log_true, "p(x), ground truth", ""), (view.log_model, model, kl))
    for k, (log_density, name, below) in enumerate(panels):
        number, left = nth(k), k * (1.0 - SHARE)
        marks += _panel(view, log_density, name, theme, number, top)
        marks.append(
            scatter(
                x=points[:, 0], y=points[:, 1], mode="markers", name="test points", showlegend=False, hoverinfo="skip",
                marker={"size": 2.5, "color": translucent(theme.muted, 0.7)}, xaxis=f"x{number}", yaxis=f"y{number}",
            )
        )  # fmt: skip
        layout |= {
            f"xaxis{number}": axis(
                theme,
                "x₁ (data units)",
                domain=[left, left + SHARE],
                anchor=f"y{number}",
                range=[float(view.x[0]), float(view.x[-1])],
                constrain="domain",
            ),
            f"yaxis{number}": axis(
                theme,
                "x₂ (data units)",
                anchor=f"x{number}",
                range=[float(view.y[0]), float(view.y[-1])],
                scaleanchor=f"x{number}",
                constrain="domain",
            ),
        }
        notes.append(heading(theme, f"<b>{name}</b>" + (f"<br>{below}" if below else ""), left, 1.01, align="left"))
    layout["annotations"] = notes
    return figure_of(marks, layout)
