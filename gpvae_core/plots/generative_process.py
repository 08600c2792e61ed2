"""MAPA Lab: the generative process and the posteriors of drawn points, as in Fig. 1 of Yacoby et al. 2024.

Each function has one column: draws on the joint density p(x, z) with the marginal p(x) at the top, and the posterior of
each drawn point below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.formatting import typographic
from gpvae_core.inspection.mapa_lab.views import ProcessView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, figure_of, heatmap, scatter
from gpvae_core.plots.method_styles import DASHES, PALE
from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme, axis, bare_axis, frame, heading, nth, plain

WIDTH, HEIGHT = 460, 520
"""Size of one column in pixels."""
EVERY = 4
"""Stride of the grid of latents on which the joint density is drawn."""
ROW = (0.42, 0.95)
"""Lower and upper end of the joint density's panel, in shares of the height."""
BELOW = (0.0, 0.30)
MAIN, BESIDE = 0.78, 0.15
"""Widths of the joint density's and the marginal's panels, in shares of a column."""
GAP = 0.05


def _styles(n: int, theme: Theme) -> list[dict[str, Any]]:
    """Return colour, dash and symbol of each drawn point."""
    colours = [colour for colour in theme.classes if colour != PALE]
    return [
        {
            "colour": colours[i % len(colours)],
            "dash": DASHES[i % len(DASHES)],
            "symbol": CLASS_SYMBOLS[i % len(CLASS_SYMBOLS)],
        }
        for i in range(n)
    ]


def _joint(view: ProcessView, theme: Theme, axes: dict[str, str]) -> list[Mark]:
    blue = theme.contour
    return [
        heatmap(
            x=view.z[::EVERY],
            y=view.x,
            z=np.exp(view.log_joint[:, ::EVERY]),
            colorscale=theme.density_scale,
            showscale=False,
            hoverinfo="skip",
            name="joint density",
            **axes,
        ),
        scatter(
            x=view.z, y=view.f, mode="lines", name="f(z)", line={"color": blue, "width": 1.6}, hoverinfo="skip",
            showlegend=False, **axes,
        ),
    ]  # fmt: skip


def _draws(view: ProcessView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    """Return the path z_i -> f(z_i) -> x_i of each point: up from the axis, then on by the noise."""
    floor = float(view.x[0])
    marks = []
    for i, style in enumerate(_styles(len(view.latents), theme)):
        z, mean, x = (float(values[i]) for values in (view.latents, view.means, view.observed))
        label = f"x<sub>{i + 1}</sub>"
        marks.append(
            scatter(
                x=[z, z, z],
                y=[floor, mean, x],
                mode="lines+markers",
                name=label,
                legendgroup=label,
                showlegend=legend,
                line={"color": style["colour"], "width": 1.5, "dash": style["dash"]},
                marker={
                    "symbol": ["line-ns-open", "circle-open", style["symbol"]],
                    "size": [10, 7, 10],
                    "color": style["colour"],
                },
                text=["z", "f(z)", "x = f(z) + ε"],
                hovertemplate=typographic(
                    f"%{{text}}, point {i + 1}: z = {z:.3f}, f(z) = {mean:.3f}, ε = {view.noise[i]:.3f}, "
                    f"x = {x:.3f}<extra></extra>"
                ),
                **axes,
            )
        )
    return marks


def _marginal(view: ProcessView, theme: Theme, axes: dict[str, str]) -> list[Mark]:
    density = np.exp(view.log_px)
    blue = theme.gaussians[0].colour
    line = scatter(
        x=density, y=view.x, mode="lines", fill="tozerox", name="p(x)", showlegend=False,
        line={"color": blue, "width": 1.6}, hovertemplate="p(x) = %{x:.3g} at x = %{y:.3f}<extra></extra>", **axes,
    )  # fmt: skip
    styles = _styles(len(view.observed), theme)
    points = scatter(
        x=np.interp(view.observed, view.x, density),
        y=view.observed,
        mode="markers",
        name="drawn",
        showlegend=False,
        marker={
            "symbol": [style["symbol"] for style in styles],
            "color": [style["colour"] for style in styles],
            "size": 8,
        },
        hoverinfo="skip",
        **axes,
    )
    return [line, points]


def _posteriors(view: ProcessView, theme: Theme, axes: dict[str, str]) -> list[Mark]:
    return [
        scatter(
            x=view.z,
            y=np.exp(view.log_posterior[i]),
            mode="lines",
            name=f"posterior of x<sub>{i + 1}</sub>",
            legendgroup=f"x<sub>{i + 1}</sub>",
            showlegend=False,
            line={"color": style["colour"], "width": 2, "dash": style["dash"]},
            hovertemplate=f"p(z|x<sub>{i + 1}</sub>) = %{{y:.3g}} at z = %{{x:.3f}}<extra></extra>",
            **axes,
        )
        for i, style in enumerate(_styles(len(view.latents), theme))
    ]


def index_heights(view: ProcessView, q: Array) -> Array:
    """Return n q(i|n) p(z_i), (n, n), the height of an index posterior on the scale of p(z|x)."""
    prior = np.exp(np.interp(view.latents, view.z, view.log_prior))
    return len(view.latents) * q * prior


def _mapa(view: ProcessView, theme: Theme, axes: dict[str, str]) -> list[Mark]:
    heights = index_heights(view, view.mapa)
    return [
        scatter(
            x=view.latents,
            y=heights[i],
            mode="markers",
            name=f"MAPA of x<sub>{i + 1}</sub>",
            legendgroup=f"x<sub>{i + 1}</sub>",
            showlegend=False,
            marker={"symbol": style["symbol"], "color": style["colour"], "size": 9},
            customdata=view.mapa[i],
            text=[str(j + 1) for j in range(len(view.latents))],
            hovertemplate=f"q(i = %{{text}} | n = {i + 1}) = %{{customdata:.3f}}<extra></extra>",
            **axes,
        )
        for i, style in enumerate(_styles(len(view.latents), theme))
    ]


def _density_range(view: ProcessView, mapa: bool) -> list[float]:
    top = float(np.exp(view.log_posterior).max())
    top = max(top, float(index_heights(view, view.mapa).max())) if mapa else top
    return [-0.03 * top, 1.06 * top]


def _column(
    view: ProcessView, theme: Theme, number: int, columns: int, mapa: bool
) -> tuple[list[Mark], dict[str, Any]]:
    """Return marks and axes of view k, whose axes are 3 k (joint), 3 k + 1 (marginal) and 3 k + 2 (posteriors)."""
    width = 1.0 / columns
    left = number * width + (GAP / 2 if number else 0.0)
    main = [left, left + MAIN * (width - GAP / 2)]
    beside = [main[1] + 0.01, main[1] + 0.01 + BESIDE * width]
    j, m, b = (nth(3 * number + k) for k in range(3))
    joint, marginal, below = ({"xaxis": f"x{k}", "yaxis": f"y{k}"} for k in (j, m, b))
    marks = [
        *_joint(view, theme, joint),
        *_draws(view, theme, joint, number == 0),
        *_marginal(view, theme, marginal),
        *_posteriors(view, theme, below),
        *(_mapa(view, theme, below) if mapa else []),
    ]
    z_range, x_range = [float(view.z[0]), float(view.z[-1])], [float(view.x[0]), float(view.x[-1])]
    z_title = f"z ({view.latent_unit})" if view.latent_unit else "z"
    axes = {
        f"xaxis{j}": axis(theme, "", domain=main, anchor=f"y{j}", range=z_range, showticklabels=False),
        f"yaxis{j}": axis(theme, f"{view.x_label} (data units)", domain=list(ROW), anchor=f"x{j}", range=x_range),
        f"xaxis{m}": axis(theme, "p(x)", domain=beside, anchor=f"y{m}", nticks=2, rangemode="tozero"),
        f"yaxis{m}": bare_axis(domain=list(ROW), anchor=f"x{m}", range=x_range),
        f"xaxis{b}": axis(theme, z_title, domain=main, anchor=f"y{b}", range=z_range),
        f"yaxis{b}": axis(
            theme,
            "p(z|x<sub>i</sub>)",
            domain=list(BELOW),
            anchor=f"x{b}",
            range=_density_range(view, mapa),
            nticks=4,
        ),
    }
    return marks, axes


def figure(views: Sequence[ProcessView], theme: Theme, mapa: bool = False) -> go.Figure:
    """Return one column per view; with `mapa`, also marks of MAPA over the drawn points, n q(i|n) p(z_i) at z_i."""
    layout = frame(theme, WIDTH * len(views), HEIGHT, (54, 8, 34, 42), showlegend=True, hovermode="closest")
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    marks: list[Mark] = []
    notes = []
    for number, view in enumerate(views):
        column, axes = _column(view, theme, number, len(views), mapa)
        marks += column
        layout |= axes
        notes.append(heading(theme, plain(view.title), axes[f"xaxis{nth(3 * number)}"]["domain"][0], ROW[1] + 0.005))
    layout["annotations"] = notes
    return figure_of(marks, layout)
