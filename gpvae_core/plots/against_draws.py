"""MAPA Lab: curves against S, the number of importance samples (Yacoby et al. 2024, Fig. 2-5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpvae_core.inspection.views import Array, Value
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.theme import Theme, axis, plain

TICK_RATIO = 1.8
"""Smallest ratio of neighbouring ticks."""
SE_SHOWN = {"type": "data", "thickness": 1, "width": 3}


def curve(
    draws: Array, values: Sequence[Value], name: str, unit: str, style: dict[str, Any], theme: Theme, **more: Any
) -> Mark:
    """Return a curve of means with bars of one standard error; `style` has 'colour', 'dash' and 'symbol'."""
    errors = [value.se for value in values]
    bars = {**SE_SHOWN, "array": [se or 0.0 for se in errors], "color": style["colour"]}
    return scatter(
        x=draws,
        y=[value.mean for value in values],
        mode="lines+markers",
        name=plain(name),
        line={"color": style["colour"], "dash": style["dash"], "width": 2},
        marker={
            "symbol": style["symbol"],
            "size": 7,
            "color": style["colour"],
            "line": {"color": theme.edge, "width": 0.6},
        },
        error_y=bars if any(errors) else None,
        hovertemplate=f"{plain(name)}, S = %{{x:.0f}}: %{{y:.4g}} {unit}<extra></extra>",
        **more,
    )


def level_line(draws: Sequence[float], level: Value, name: str, colour: str, dash: str, unit: str) -> Mark:
    """Return a horizontal line for a value that does not depend on S."""
    return scatter(
        x=[min(draws), max(draws)], y=[level.mean, level.mean], mode="lines", name=plain(name),
        line={"color": colour, "dash": dash, "width": 1.8},
        hovertemplate=f"{plain(name)}: {level.mean:.4g} {unit}<extra></extra>",
    )  # fmt: skip


def draws_axis(theme: Theme, draws: Sequence[float]) -> dict[str, Any]:
    """Return a logarithmic axis of S, with ticks at the values of S as far as there is room."""
    ticks: list[float] = []
    for s in sorted(set(draws), reverse=True):
        if not ticks or ticks[-1] >= TICK_RATIO * s:
            ticks.append(s)
    return axis(
        theme,
        "S (importance samples)",
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
    )


def legend_below(theme: Theme) -> dict[str, Any]:
    """Return the layout of a legend below the horizontal axis."""
    return {
        "orientation": "h", "x": 0.0, "y": -0.16, "xanchor": "left", "yanchor": "top",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
