"""MAPA Lab: models of the same points side by side (Yacoby et al. 2024, D.4): decoders above, posteriors of x below."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from gpvae_core.errors import unknown
from gpvae_core.formatting import typographic
from gpvae_core.inspection.mapa_lab.views import Variant, VariantsView
from gpvae_core.plots import mapa_traces
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, nth, plain, shortened

WIDTH, HEIGHT = 440, 620
"""Size in pixels of one column; with more than two columns they are narrower."""
MOST_WIDE = 960
"""Largest width of the figure in pixels."""
ABOVE, BELOW = (0.55, 0.93), (0.0, 0.42)
GAP = 0.07
MOST_SHOWN = 600
"""Largest number of training points drawn behind each decoder."""
LABEL = 40
REACH = 3.3
"""Largest displayed |z|, in prior standard deviations."""


def _against_latent(
    view: VariantsView, variant: Variant, theme: Theme, axes: dict[str, str], legend: bool
) -> list[Mark]:
    """Return both coordinates of f(z) against z, and the height of the chosen x in each."""
    marks = []
    for j, (name, colour, dash) in enumerate(
        (("x₁ of f(z)", theme.classes[2], "solid"), ("x₂ of f(z)", theme.classes[5], "dash"))
    ):
        marks.append(
            scatter(
                x=variant.curve_z, y=variant.curve[:, j], mode="lines", name=name, legendgroup=name, showlegend=legend,
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate=f"{name} = %{{y:.3f}} at z = %{{x:.3f}}<extra></extra>", **axes,
            )
        )  # fmt: skip
        height = float(view.chosen.x[j])
        marks.append(
            scatter(
                x=[-REACH, REACH], y=[height, height], mode="lines", name="chosen x", legendgroup="chosen x",
                showlegend=legend and j == 0,
                line={"color": colour, "dash": "dot", "width": 1}, hoverinfo="skip", **axes,
            )
        )  # fmt: skip
    return marks


def _in_plane(view: VariantsView, variant: Variant, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    """Return the decoder's curve, coloured by its latent, over the points; the first column has the colour bar."""
    points = view.points[:MOST_SHOWN]
    behind = scatter(
        x=points[:, 0], y=points[:, 1], mode="markers", name="training points", showlegend=False, hoverinfo="skip",
        marker={"size": 3, "color": theme.grid}, **axes,
    )  # fmt: skip
    curve = scatter(
        x=variant.curve[:, 0],
        y=variant.curve[:, 1],
        text=[typographic(f"{z:.2f}") for z in variant.curve_z],
        mode="markers",
        name=f"decoder of {plain(variant.name)}",
        showlegend=False,
        marker={
            "size": 4,
            "color": variant.curve_z.tolist(),
            "colorscale": theme.sequential_scale,
            "cmin": -REACH,
            "cmax": REACH,
            "showscale": legend,
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
        hovertemplate=f"{plain(view.chosen.title)}<extra></extra>", **axes,
    )  # fmt: skip
    return [behind, curve, chosen]


def _latent_axes(theme: Theme, number: str, first: bool) -> dict[str, Any]:
    return {
        f"xaxis{number}": axis(theme, "", range=[-REACH, REACH]),
        f"yaxis{number}": axis(theme, "f(z) (data units)" if first else ""),
    }


def _plane_axes(theme: Theme, number: str, first: bool) -> dict[str, Any]:
    return {
        f"xaxis{number}": axis(theme, "x₁ (data units)"),
        f"yaxis{number}": axis(theme, "x₂ (data units)" if first else "", scaleanchor=f"x{number}", constrain="domain"),
    }


DECODERS = {"z": (_against_latent, _latent_axes), "plane": (_in_plane, _plane_axes)}
"""The drawings of a decoder, with their axes: its coordinates against z, or its curve in the plane."""


def _titles(variant: Variant, theme: Theme, left: float) -> list[dict[str, Any]]:
    numbers = variant.trace.numbers
    kl = f"KL(empiricalized ‖ MAPA) = {numbers.kl:.3f} nats (‖ uniform: {numbers.kl_uniform:.3f})"
    return [
        heading(theme, f"<b>{shortened(variant.name, LABEL)}</b>", left, ABOVE[1] + 0.005),
        heading(theme, kl, left, BELOW[1] + 0.005, font={"size": 11, "color": theme.muted}),
    ]


def figure(view: VariantsView, theme: Theme, decoder: str = "z") -> go.Figure:
    """Return one column per variant; the posteriors share one vertical scale.

    Args:
        decoder: drawing of the decoders, one of DECODERS.

    Raises:
        UserError: `decoder` is not one of DECODERS.
    """
    if decoder not in DECODERS:
        raise unknown("drawing of the decoders", decoder, DECODERS)
    draw, draw_axes = DECODERS[decoder]
    columns = len(view.variants)
    layout = frame(
        theme, min(WIDTH * columns, MOST_WIDE), HEIGHT, (52, 62, 40, 40), showlegend=True, hovermode="closest"
    )
    layout["legend"] = mapa_traces.legend(theme)
    span = mapa_traces.span([variant.trace for variant in view.variants])
    marks: list[Mark] = []
    notes: list[dict[str, Any]] = []
    width = (1.0 - GAP * (columns - 1)) / columns
    for k, variant in enumerate(view.variants):
        left, first, a, b = k * (width + GAP), k == 0, nth(2 * k), nth(2 * k + 1)
        domain = [left, left + width]
        marks += draw(view, variant, theme, {"xaxis": f"x{a}", "yaxis": f"y{a}"}, first)
        marks += mapa_traces.panel(variant.trace, theme, {"xaxis": f"x{b}", "yaxis": f"y{b}"}, first)
        above = draw_axes(theme, a, first)
        above[f"xaxis{a}"] |= {"domain": domain, "anchor": f"y{a}"}
        above[f"yaxis{a}"] |= {"domain": list(ABOVE), "anchor": f"x{a}"}
        layout |= above | _below(variant, theme, b, domain, span, first)
        notes += _titles(variant, theme, left)
    layout["annotations"] = notes
    return figure_of(marks, layout)


def _below(
    variant: Variant, theme: Theme, b: str, domain: list[float], span: list[float], first: bool
) -> dict[str, Any]:
    """Return the axes of a column's posteriors."""
    latent = f"{shortened(variant.trace.latent, LABEL)} (prior sd)"
    title = "log posterior density (nats)" if first else ""
    return {
        f"xaxis{b}": axis(theme, latent, domain=domain, anchor=f"y{b}", range=[-REACH, REACH]),
        f"yaxis{b}": axis(theme, title, domain=list(BELOW), anchor=f"x{b}", range=span, nticks=7),
    }
