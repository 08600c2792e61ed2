"""SVI step by step: outlines over the true posterior, ELBO against the step, and the film over both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import ContoursView, SviView
from gpvae_core.inspection.views import Array
from gpvae_core.plots import curves, film
from gpvae_core.plots.curves import Axes, Curve, LevelLine
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.posterior import density_traces, panel
from gpvae_core.plots.theme import Theme, frame, plain, with_unit, wrapped

WIDTH, HEIGHT = 440, 320
HALF_BAR = 0.28
"""Half the width of the bar of SVI, where the distance between two bars is 1."""
LABEL = 18
ENTRY, LINE, AROUND = 19, 10, 12
"""Height in pixels of an entry of the legend with one line, of each further line, and of what is around the entries."""


@dataclass(frozen=True)
class Moving:
    """What the film moves over the contours: its name and colour in the legend, and the unit of the plane."""

    name: str
    colour: str
    unit: Callable[[str], str] = with_unit
    """Function from the label of a coordinate to its axis title."""


def contours(
    view: ContoursView, styles: Mapping[str, MethodStyle], theme: Theme, moving: Moving | None = None
) -> go.Figure:
    """Return the contours of the true posterior, and the outline and centre of each method's posterior.

    Args:
        moving: what is moved over them, by default SVI.
    """
    moving = moving or Moving("SVI, at its step", theme.base)
    left, right, top, bottom = margin = (50, 4, 8, 38)
    truth = view.truth
    # As high as its legend: plotly.js hides the end of one that is higher than the axes behind a scroll bar.
    labels = [wrapped(styles[outline.name].label, LABEL) for outline in view.outlines]
    entries = len(truth.hpd_levels) + 1 + len(labels)
    legend = AROUND + ENTRY * entries + LINE * sum(label.count("<br>") for label in labels)
    height = max(HEIGHT, legend + top + bottom)
    place = panel(truth, "", (0.0, 0.68), (0.0, 1.0), (WIDTH - left - right, height - top - bottom))
    layout = frame(theme, WIDTH, height, margin, showlegend=True)
    layout |= place.layout(theme, moving.unit(truth.plane.x_label), moving.unit(truth.plane.y_label), 6)
    layout["legend"] = {
        "x": 0.70, "y": 1.0, "xanchor": "left", "yanchor": "top", "font": {"size": 10, "color": theme.text},
        "bgcolor": "rgba(0,0,0,0)", "itemwidth": 30, "tracegroupgap": 0,
    }  # fmt: skip
    marks = density_traces(truth, theme, place.axes)
    for outline in view.outlines:
        marks += _outline(outline.name, outline.line, outline.centre, styles[outline.name], place.axes)
    marks.append(
        scatter(
            x=[None], y=[None], mode="lines+markers", name=moving.name, legendrank=1,
            line={"color": moving.colour, "width": 3}, marker={"color": moving.colour, "size": 8}, **place.axes,
        )
    )  # fmt: skip
    return figure_of(marks, layout)


def _outline(name: str, line: Array, centre: Array, style: MethodStyle, axes: dict[str, str]) -> list[Mark]:
    edge = scatter(
        x=line[:, 0], y=line[:, 1], mode="lines", name=wrapped(style.label, LABEL), legendgroup=name,
        line={"color": style.colour, "dash": style.dash, "width": 2.2}, hoverinfo="name", **axes,
    )  # fmt: skip
    middle = scatter(
        x=[float(centre[0])], y=[float(centre[1])], mode="markers", name=plain(style.label), legendgroup=name,
        showlegend=False, marker={"symbol": style.symbol, "size": 7, "color": style.colour}, hoverinfo="name", **axes,
    )  # fmt: skip
    return [edge, middle]


def bound(view: SviView, theme: Theme) -> go.Figure:
    """Return the ELBO after each step, with log p(x) and the best Gaussians' ELBOs as lines."""
    finite = view.elbo[np.isfinite(view.elbo)]
    top = max(float(finite.max(initial=view.log_px)), view.log_px)
    low = min(float(finite.min(initial=view.best_diagonal_elbo)), view.best_diagonal_elbo)
    span, last = max(top - low, 1e-3), max(len(view.elbo) - 1, 1)
    full = LevelLine("best full Gaussian", view.best_full_elbo, "dot", 1.4)
    levels = (
        LevelLine("log p(x)" if view.exact else "log p(x) (at least)", view.log_px),
        *([] if view.full_is_diagonal else [full]),
        LevelLine("best diagonal Gaussian", view.best_diagonal_elbo, "dash", 1.4),
    )
    ranges = (-0.02 * last, 1.02 * last), (low - 0.05 * span, top + 0.06 * span)
    curve = Curve("ELBO of SVI", np.arange(len(view.elbo), dtype=float), view.elbo, theme.muted, width=1.2)
    return curves.figure([curve], levels, Axes("step of SVI", "ELBO (nats)", *ranges), theme)


def frames(view: SviView, theme: Theme, cards: tuple[str, str, str]) -> dict[str, Any]:
    """Return the film of SVI over the figures of three cards: the contours, the ELBO and the bars of the gaps.

    With one latent dimension there are no outlines and centres.
    """
    steps = np.arange(len(view.elbo), dtype=float)
    centres = np.array([outline.centre for outline in view.outlines]).reshape(-1, 2)
    elbo = np.stack([steps, view.elbo], 1)
    contours = [
        film.trail(centres, theme.base),
        film.outlines([outline.line for outline in view.outlines], theme.base),
        film.last_dot(centres, theme.base),
    ]
    curve = [film.trail(elbo, theme.base, film.WIDTH, "solid"), film.last_dot(elbo, theme.base)]
    stacks = film.shapes([_stack(view, float(value), theme) for value in view.elbo], "svi")
    return film.film(
        dict(zip(cards, (contours, curve, [stacks]), strict=True)),
        [_words(view, k) for k in range(len(steps))],
        [film.rounded(value, 3) for value in view.elbo],
    )


def _words(view: SviView, step: int) -> str:
    elbo, at = float(view.elbo[step]), f"{step} of {len(view.elbo) - 1}"
    if not np.isfinite(elbo):
        return f"{at}: SVI has diverged, its ELBO is not a number"
    return f"{at}: ELBO {nats(elbo)} nats, {nats(view.log_px - elbo)} below log p(x)"


def _stack(view: SviView, elbo: float, theme: Theme) -> list[dict[str, Any]]:
    """Return the bars of SVI's gaps from log p(x), at 0, down to its ELBO, with their length below; none of no ELBO."""
    if not np.isfinite(elbo):
        return []
    end, whole = view.log_px - elbo, view.log_px - view.best_diagonal_elbo

    def bar(y0: float, y1: float, colour: str, **more: Any) -> dict[str, Any]:
        edge = {"width": 0.8, "color": theme.text}
        place = {"x0": -HALF_BAR, "x1": HALF_BAR, "y0": round(y0, 3), "y1": round(y1, 3)}
        return {"type": "rect", **place, "fillcolor": colour, "line": edge, **more}

    font = {"size": 11, "color": theme.text}
    label = {"text": f"<b>{nats(end)}</b>", "textposition": "bottom center", "yanchor": "top", "font": font}
    return [
        bar(0.0, min(end, whole), theme.bar),
        *([bar(whole, end, theme.bar_other)] if end > whole else []),
        bar(end, end, "rgba(0,0,0,0)", line={"width": 2, "color": theme.text}, label=label),
    ]
