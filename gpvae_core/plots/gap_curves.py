"""Mean gaps against training epochs or encoder size."""

from __future__ import annotations

import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import CurveView
from gpvae_core.inspection.views import Value
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, plain

WIDTH, HEIGHT = 440, 300


def _curve(
    view: CurveView, name: str, values: tuple[Value, ...], colour: str, dash: str, symbol: str, theme: Theme
) -> Mark:
    return scatter(
        x=view.x,
        y=[value.mean for value in values],
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 7, "color": colour, "line": {"color": theme.edge, "width": 0.6}},
        error_y={
            "type": "data",
            "array": [value.se or 0.0 for value in values],
            "color": colour,
            "thickness": 1,
            "width": 3,
        },
        customdata=[plain(label) for label in view.labels],
        hovertemplate=f"%{{customdata}}: {name} %{{y:.3f}} nats<extra></extra>",
    )


def figure(view: CurveView, theme: Theme) -> go.Figure:
    """Return the inference gap and its two parts, with standard errors over the images."""
    curves = (
        ("inference gap", view.inference, theme.text, "solid", "circle"),
        ("amortization gap", view.amortization, theme.bar_other, "dash", "diamond"),
        ("approximation gap", view.approximation, theme.classes[0], "dot", "square"),
    )
    marks = [_curve(view, name, values, colour, dash, symbol, theme) for name, values, colour, dash, symbol in curves]
    highest = max(value.mean + (value.se or 0.0) for value in view.inference)
    layout = frame(theme, WIDTH, HEIGHT, (50, 10, 8, 64), showlegend=True)
    scale = {"type": "log", "dtick": 1} if view.logarithmic else {}
    layout["xaxis"] = axis(theme, plain(view.x_label), **scale)
    layout["yaxis"] = axis(theme, "mean gap (nats)", range=[min(0.0, -0.02 * highest), 1.08 * max(highest, 1e-3)])
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": -0.16, "xanchor": "left", "yanchor": "top",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of(marks, layout)
