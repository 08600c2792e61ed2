"""MAPA Lab: test KL from the true data distribution against S, from a comparison (Yacoby et al. 2024, Fig. 3)."""

from __future__ import annotations

import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.curve_views import KlView
from gpvae_core.plots.against_draws import curve, draws_axis, legend_below, level_line
from gpvae_core.plots.marks import figure_of
from gpvae_core.plots.method_styles import DASHES, PALE
from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme, axis, frame

WIDTH, HEIGHT = 560, 380


def figure(view: KlView, theme: Theme) -> go.Figure:
    """Return means over draws of the data with standard errors; methods without S are horizontal lines."""
    colours = [colour for colour in theme.classes if colour != PALE]
    draws = [float(s) for c in view.curves for s in c.draws] or [1.0, 100.0]
    marks = [
        curve(
            c.draws, c.kl, c.method, "nats",
            {
                "colour": colours[k % len(colours)],
                "dash": DASHES[k % len(DASHES)],
                "symbol": CLASS_SYMBOLS[k % len(CLASS_SYMBOLS)],
            },
            theme, customdata=list(c.n),
        )
        for k, c in enumerate(view.curves)
    ]  # fmt: skip
    shades = (theme.text, theme.muted)
    marks += [
        level_line(draws, level, name, shades[k % 2], DASHES[-1 - k % 3], "nats")
        for k, (name, level) in enumerate(view.flat)
    ]
    layout = frame(theme, WIDTH, HEIGHT, (56, 10, 10, 110), showlegend=True)
    layout["xaxis"] = draws_axis(theme, draws)
    layout["yaxis"] = axis(theme, "test KL(p_GT ‖ p_model) (nats)", rangemode="tozero")
    layout["legend"] = legend_below(theme)
    return figure_of(marks, layout)
