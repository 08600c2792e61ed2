"""MAPA Lab: network passes per point against S (Yacoby et al. 2024, Fig. 4 and 5)."""

from __future__ import annotations

import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.curve_views import PassesView
from gpvae_core.plots.against_draws import curve, draws_axis, legend_below
from gpvae_core.plots.marks import figure_of
from gpvae_core.plots.method_styles import DASHES, PALE
from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme, axis, frame, heading

WIDTH, HEIGHT = 460, 360


def figure(view: PassesView, theme: Theme, encoder: bool = False) -> go.Figure:
    """Return decoder passes (Fig. 4), or encoder and decoder passes (Fig. 5), against S on logarithmic axes."""
    colours = [colour for colour in theme.classes if colour != PALE]
    marks = [
        curve(
            c.draws, c.both if encoder else c.decoder, c.method, "passes per point",
            {"colour": colours[k], "dash": DASHES[k], "symbol": CLASS_SYMBOLS[k]}, theme,
        )
        for k, c in enumerate(view.curves)
    ]  # fmt: skip
    draws = [float(s) for c in view.curves for s in c.draws]
    layout = frame(theme, WIDTH, HEIGHT, (54, 10, 26, 92), showlegend=True)
    layout["xaxis"] = draws_axis(theme, draws)
    which = "encoder + decoder passes" if encoder else "decoder passes"
    layout["yaxis"] = axis(theme, f"{which} per point", type="log", dtick=1)
    layout["annotations"] = [heading(theme, f"batches of {view.batch} of {view.n_total:,} points", 0.0, 1.0)]
    layout["legend"] = legend_below(theme)
    return figure_of(marks, layout)
