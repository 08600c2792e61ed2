"""View 1 at d = 1: the true posterior's density along the latent line, with the encoder's and the best Gaussian's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpvae_core.inspection.line_views import Array, LineView
from gpvae_core.inspection.views import PosteriorView
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.theme import Theme, axis, with_unit

TALLEST = 3.0
"""Height of the panel at most, as a multiple of the true posterior's maximum: a narrower density is cut above."""
FLOOR = 0.34
"""Height below zero of the intervals, samples and points, as a share of the height above."""
INTERVALS, SAMPLES, CODES = 0.06, 0.16, 0.26
"""Depths of the intervals, the base encoder's samples and the MAPA points, as shares of the height."""
WIDTHS = (7.0, 4.0, 1.5)
"""Widths in pixels of the intervals that hold 50, 90 and 99 %."""
SMALLEST, GROWTH = 4.0, 12.0
"""A MAPA point of probability q has a diameter of SMALLEST + GROWTH sqrt(q) pixels."""
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SEVERAL = "(see caption)"
"""Stands for what was sampled where that differs between two panels: q(z|x) itself, or what a flow or a GP starts from;
the page names it for each."""


def density(log_density: Array) -> Array:
    """Return the density, which is zero where its logarithm is unknown because it is so small."""
    return np.nan_to_num(np.exp(log_density), nan=0.0)


def height(view: LineView) -> float:
    """Return the height of the panel above zero, in units of the density."""
    peak = float(density(view.log_density).max())
    others = max((float(density(shape.log_density).max()) for shape in view.gaussians), default=0.0)
    return min(max(peak, others), TALLEST * peak)


def line_axes(view: LineView, theme: Theme, number: str, x: tuple[float, float], **more: Any) -> dict[str, Any]:
    """Return the two axes of a panel with its left and right end at `x`; `more` goes to the vertical one."""
    top = height(view)
    scale = 10.0 ** np.floor(np.log10(top / 4.0))
    step = next(scale * s for s in STEPS if 4.0 * scale * s >= top)
    ticks = np.arange(0.0, top * 1.001, step)
    span = [float(view.z[0]), float(view.z[-1])]
    return {
        f"xaxis{number}": axis(
            theme, with_unit(view.label), domain=list(x), range=span, anchor=f"y{number}", nticks=6, showgrid=False
        ),
        f"yaxis{number}": axis(
            theme, "density (per prior sd)", anchor=f"x{number}", range=[-FLOOR * top, 1.06 * top], showgrid=False,
            tickvals=ticks.tolist(), ticktext=[f"{tick:.3g}" for tick in ticks], **more,
        ),
    }  # fmt: skip


def on_line(points: Array, view: LineView) -> NDArray[np.bool_]:
    """Return whether each of the points (N,) is within the range of a panel."""
    return (points >= view.z[0]) & (points <= view.z[-1])


def true_marks(view: LineView, theme: Theme, axes: dict[str, str], legend: bool = True) -> list[Mark]:
    """Return the true posterior's density, and below it the intervals that hold most of its mass."""
    hover = "p(z|x) = %{y:.3g} at z = %{x:.3f}<extra></extra>"
    curve = scatter(
        x=view.z, y=density(view.log_density), mode="lines", fill="tozeroy", fillcolor=theme.density[2],
        line={"color": theme.contour, "width": 2.2}, name="true posterior", showlegend=legend, hovertemplate=hover,
        **axes,
    )  # fmt: skip
    return [curve, *_intervals(view, theme, axes, legend)]


def _intervals(view: LineView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    marks, depth = [], -INTERVALS * height(view)
    for k, (mass, threshold) in enumerate(view.hpd_levels):
        inside = view.log_density >= threshold
        marks.append(
            scatter(
                x=view.z, y=np.where(inside, depth, np.nan), mode="lines", hoverinfo="skip",
                line={"color": theme.contour, "width": WIDTHS[min(k, 2)]}, name=f"true posterior, {100 * mass:g} %",
                showlegend=legend, **axes,
            )
        )  # fmt: skip
    return marks


def samples_name(view: LineView | PosteriorView) -> str:
    """Return what the samples that a panel shows are called in full."""
    return f"samples {SEVERAL}" if view.base_name == SEVERAL else f"samples of {view.base_name}"


def sample_marks(view: LineView, theme: Theme, axes: dict[str, str], legend: bool = True) -> Mark:
    """Return the samples of the base encoder as small lines below the axis."""
    return scatter(
        x=view.base_samples, y=np.full(len(view.base_samples), -SAMPLES * height(view)), mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"color": theme.base, "width": 1}},
        name=samples_name(view), showlegend=legend, hoverinfo="skip", **axes,
    )  # fmt: skip


def line_marks(view: LineView, theme: Theme, axes: dict[str, str], legend: bool, lines: bool) -> list[Mark]:
    """Return all traces of a panel; `lines` says whether the legend includes the true posterior's."""
    weights = np.clip(np.asarray(view.mapa_weights, dtype=float), 0.0, 1.0)
    curves = [
        scatter(
            x=view.z, y=density(shape.log_density), mode="lines", name=shape.name.replace(" (", "<br>("),
            line={"color": style.colour, "dash": style.dash, "width": style.width}, showlegend=legend,
            hovertemplate=f"{shape.name}: %{{y:.3g}} at z = %{{x:.3f}}<extra></extra>", **axes,
        )
        for shape, style in zip(view.gaussians, theme.gaussians, strict=False)
    ]  # fmt: skip
    mapa = scatter(
        x=view.mapa_points, y=np.full(len(view.mapa_points), -CODES * height(view)), mode="markers",
        marker={
            "color": theme.mapa, "symbol": "diamond", "size": (SMALLEST + GROWTH * np.sqrt(weights)).tolist(),
            "line": {"color": theme.highlight, "width": 0.8},
        },
        customdata=weights, hovertemplate="MAPA q(i|n) = %{customdata:.3f} at z = %{x:.3f}<extra></extra>",
        name="MAPA points", showlegend=legend, **axes,
    )  # fmt: skip
    cross = {"symbol": "cross-thin", "size": 11, "line": {"color": theme.highlight, "width": 2}}
    modes = scatter(
        x=view.modes, y=np.interp(view.modes, view.z, density(view.log_density)), mode="markers",
        marker={"color": theme.highlight, **cross},
        hovertemplate="mode %{x:.3f}<extra></extra>", name="modes", showlegend=legend, **axes,
    )  # fmt: skip
    return [*true_marks(view, theme, axes, lines), *curves, sample_marks(view, theme, axes, legend), mapa, modes]
