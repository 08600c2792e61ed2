"""MAPA Lab: models of the same points side by side (Yacoby et al. 2024, D.4): decoders above, posteriors of x below."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.explore.mapa_lab.views import Variant, VariantsView
from gpvae_core.plots import mapa_traces
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, shortened

WIDTH, HEIGHT = 440, 620
"""Of one column."""
ABOVE, BELOW = (0.55, 0.93), (0.0, 0.42)
GAP = 0.07
MOST_SHOWN = 600
"""Training points drawn behind each decoder."""
LABEL = 40


def _decoder(view: VariantsView, variant: Variant, theme: Theme, axes: dict[str, str], last: bool) -> list[Mark]:
    """The decoder's curve coloured by its latent, over the points."""
    points = view.points[:MOST_SHOWN]
    reach = float(np.abs(variant.curve_z).max())
    behind = scatter(
        x=points[:, 0], y=points[:, 1], mode="markers", name="training points", showlegend=False, hoverinfo="skip",
        marker={"size": 3, "color": theme.grid}, **axes,
    )  # fmt: skip
    curve = scatter(
        x=variant.curve[:, 0],
        y=variant.curve[:, 1],
        text=[f"{z:.2f}" for z in variant.curve_z],
        mode="markers",
        name=f"decoder of {variant.name}",
        showlegend=False,
        marker={
            "size": 4,
            "color": variant.curve_z.tolist(),
            "colorscale": theme.sequential_scale,
            "cmin": -reach,
            "cmax": reach,
            "showscale": last,
            "colorbar": {
                "title": {"text": "z (prior sd)", "side": "right", "font": {"size": 11}},
                "thickness": 10, "len": ABOVE[1] - ABOVE[0], "y": sum(ABOVE) / 2, "outlinewidth": 0,
                "tickfont": {"size": 10, "color": theme.muted},
            },
        },
        hovertemplate="f(z) at z = %{text}<extra></extra>",
        **axes,
    )  # fmt: skip
    chosen = scatter(
        x=[float(view.chosen.x[0])], y=[float(view.chosen.x[1])], mode="markers", name="chosen x", showlegend=False,
        marker={"symbol": "star", "size": 14, "color": theme.base, "line": {"color": theme.highlight, "width": 1.2}},
        hovertemplate=f"{view.chosen.title}<extra></extra>", **axes,
    )  # fmt: skip
    return [behind, curve, chosen]


def _titles(variant: Variant, theme: Theme, left: float) -> list[dict[str, Any]]:
    kl = f"KL(empiricalized ‖ MAPA) = {variant.trace.numbers.kl:.3f} nats"
    return [
        heading(theme, f"<b>{shortened(variant.name, LABEL)}</b>", left, ABOVE[1] + 0.005),
        heading(theme, kl, left, BELOW[1] + 0.005, font={"size": 11, "color": theme.muted}),
    ]


def figure(view: VariantsView, theme: Theme) -> go.Figure:
    """A column for each variant; the posteriors share one vertical scale."""
    columns = len(view.variants)
    layout = frame(theme, WIDTH * columns, HEIGHT, (52, 62, 40, 40), showlegend=True, hovermode="closest")
    layout["legend"] = mapa_traces.legend(theme)
    span = mapa_traces.span([variant.trace for variant in view.variants])
    marks: list[Mark] = []
    notes: list[dict[str, Any]] = []
    width = (1.0 - GAP * (columns - 1)) / columns
    for k, variant in enumerate(view.variants):
        left = k * (width + GAP)
        domain, a, b = [left, left + width], 2 * k + 1, 2 * k + 2
        marks += _decoder(view, variant, theme, {"xaxis": f"x{a}", "yaxis": f"y{a}"}, k == columns - 1)
        marks += mapa_traces.panel(variant.trace, theme, {"xaxis": f"x{b}", "yaxis": f"y{b}"}, k == 0)
        latent = f"{shortened(variant.trace.latent, LABEL)} (prior sd)"
        layout |= {
            f"xaxis{a}": axis(theme, "x₁ (data units)", domain=domain, anchor=f"y{a}"),
            f"yaxis{a}": axis(
                theme,
                "x₂ (data units)" if k == 0 else "",
                domain=list(ABOVE),
                anchor=f"x{a}",
                scaleanchor=f"x{a}",
                constrain="domain",
            ),
            f"xaxis{b}": axis(theme, latent, domain=domain, anchor=f"y{b}", range=mapa_traces.extent(variant.trace)),
            f"yaxis{b}": axis(
                theme,
                "log posterior density (nats)" if k == 0 else "",
                domain=list(BELOW),
                anchor=f"x{b}",
                range=span,
                nticks=7,
            ),
        }
        notes += _titles(variant, theme, left)
    layout["annotations"] = notes
    return go.Figure(marks, layout)
