"""GP-Prior Lab: the terms of the bound over the epochs of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import TrainingCurve
from gpvae_core.plots.marks import figure_of, scatter
from gpvae_core.plots.prior_curves import LEGEND, looks
from gpvae_core.plots.theme import Theme, axis, frame, heading, nth, plain

WIDTH, HEIGHT = 440, 330
PANELS = {
    "reconstruction": ("E log p(y|z)", "nats an image"),
    "kl": ("KL term", "nats an image"),
    "validation_elbo": ("validation score", "nats an image"),
    "mse": ("square error", "pixel²"),
    "constraint": ("constraint C (GECO)", "pixel²"),
    "multiplier": ("multiplier λ (GECO)", ""),
}
"""Term -> its name and unit."""
LOGARITHMIC = frozenset({"mse", "multiplier"})


def figure(curves: Sequence[TrainingCurve], theme: Theme) -> go.Figure:
    """Return a small panel for each term that one of the runs has."""
    shown = [name for name in PANELS if any(np.isfinite(curve.terms[name]).any() for curve in curves)]
    columns = 2 if len(shown) > 1 else 1
    rows = max(1, -(-len(shown) // columns))
    layout = frame(theme, WIDTH, HEIGHT, (46, 18, 40, 36), showlegend=len(curves) > 1, hovermode="closest")
    marks, notes = [], []
    runs = looks([curve.run for curve in curves], theme)
    for k, name in enumerate(shown):
        row, column = divmod(k, columns)
        wide, high = (1.0 - 0.16 * (columns - 1)) / columns, (1.0 - 0.2 * (rows - 1)) / rows
        left, bottom = column * (wide + 0.16), max(0.0, 1.0 - (row + 1) * high - row * 0.2)
        last = row == rows - 1 or k + columns >= len(shown)
        scale = _scale(curves, name)
        title, unit = PANELS[name]
        below = {"domain": [left, left + wide], "anchor": f"y{nth(k)}"}
        layout[f"xaxis{nth(k)}"] = axis(theme, "epoch" if last else "", nticks=5, **below)
        layout[f"yaxis{nth(k)}"] = axis(
            theme, "", domain=[bottom, bottom + high], anchor=f"x{nth(k)}", nticks=4, **scale
        )
        notes.append(heading(theme, f"{title}, {unit}" if unit else title, left, bottom + high, yshift=1))
        for curve, look in zip(curves, runs, strict=False):
            marks.append(
                scatter(
                    x=curve.epochs, y=curve.terms[name], mode="lines", name=plain(look.name), legendgroup=look.name,
                    showlegend=k == 0, line={"color": look.colour, "dash": look.dash, "width": 1.8},
                    hovertemplate=f"epoch %{{x}}: %{{y:.4g}} {unit}<extra></extra>",
                    xaxis=f"x{nth(k)}", yaxis=f"y{nth(k)}",
                )
            )  # fmt: skip
    layout["annotations"] = notes
    layout["legend"] = {**LEGEND, "y": 1.07, "font": {"size": 10, "color": theme.text}}
    return figure_of(marks, layout)


def _scale(curves: Sequence[TrainingCurve], name: str) -> dict[str, Any]:
    """Return the scale of a term's axis: logarithmic for one that is positive and spans more than a decade."""
    values = np.concatenate([curve.terms[name] for curve in curves])
    values = values[np.isfinite(values) & (values > 0)]
    if name not in LOGARITHMIC or not values.size or values.max() <= 10 * values.min():
        return {}
    decades = np.log10(values.max() / values.min())
    return {"type": "log", "exponentformat": "power", "dtick": max(1, int(np.ceil(decades / 4)))}
