"""The inference gap of each method and its parts, as one stack per method that hangs from log p(x)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import GapStack, StacksView
from gpvae_core.plots.gaps import GAIN, gain, nats
from gpvae_core.plots.marks import Mark, bar, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.theme import Theme, axis, frame, heading, shortened

WIDTH, HEIGHT = 440, 330
BAR = 0.56
LABEL = 15
"""Largest length of a method's name below its stack."""
LINE = 18
"""Height in pixels of a line of text below a stack."""
ABOVE = 0.04
"""Share of the deepest stack's length that is free above log p(x)."""
FEW = 4
"""Largest number of horizontal names; more are rotated."""


def _piece(name: str, bases: list[float], lengths: list[float], fill: tuple[str, str, str], theme: Theme) -> Mark:
    """Return bars with a fill: colour, pattern and the pattern's colour."""
    colour, pattern, ink = fill
    return bar(
        x=list(range(len(lengths))),
        y=lengths,
        base=bases,
        width=BAR,
        name=name,
        marker={
            "color": colour,
            "pattern": {"shape": pattern, "fgcolor": ink, "size": 6, "fillmode": "overlay"},
            "line": {"color": theme.text, "width": 0.8},
        },
        showlegend=any(length != 0.0 for length in lengths),
        hovertemplate=f"{name}: %{{y:.3f}} nats<extra></extra>",
    )


def pieces(view: StacksView) -> tuple[list[float], list[float], list[float]]:
    """Return the approximation gap, the amortization gap and the regained nats of each method.

    A posterior that exceeds the best diagonal Gaussian regains a part of the approximation gap, which is then shorter.
    """
    whole = view.approximation.mean
    amortization = [stack.amortization.mean for stack in view.stacks]
    won = [gain(whole, a) for a in amortization]
    return [max(0.0, whole - w) for w in won], [max(0.0, a) for a in amortization], won


def _bars(view: StacksView, theme: Theme) -> list[Mark]:
    approximation, amortization, won = pieces(view)
    return [
        _piece("approximation gap", [0.0] * len(won), approximation, (theme.bar, "", theme.paper), theme),
        _piece("amortization gap", approximation, amortization, (theme.bar_other, "/", theme.paper), theme),
        _piece(GAIN, approximation, won, ("rgba(0,0,0,0)", ".", theme.text), theme),
    ]


def _line(y: float, count: int, name: str, dash: str, width: float, theme: Theme, text: str) -> Mark:
    return scatter(
        x=[-0.5, count - 0.5],
        y=[y, y],
        mode="lines",
        line={"color": theme.text, "dash": dash, "width": width},
        name=name,
        hovertemplate=f"{text}<extra></extra>",
    )


def _lines(view: StacksView, count: int, theme: Theme) -> list[Mark]:
    log_px = view.log_px.mean
    levels = (
        ("log p(x)", 0.0, "solid", 2.2),
        *([] if view.full_is_diagonal else [("best full Gaussian", view.full.mean, "dot", 1.4)]),
        ("q*, best diagonal Gaussian", view.approximation.mean, "dash", 1.4),
    )
    return [
        _line(below, count, name, dash, width, theme, f"{name}: {nats(log_px - below)} nats")
        for name, below, dash, width in levels
    ]


def _ends(view: StacksView, theme: Theme) -> Mark:
    """Return a mark at each ELBO, with its standard error."""
    return scatter(
        x=list(range(len(view.stacks))),
        y=[stack.inference.mean for stack in view.stacks],
        mode="markers",
        marker={"symbol": "line-ew", "size": 18, "line": {"color": theme.text, "width": 2}},
        error_y={
            "type": "data",
            "array": [stack.inference.se or 0.0 for stack in view.stacks],
            "visible": any(stack.inference.se is not None for stack in view.stacks),
            "color": theme.text,
            "thickness": 1.4,
            "width": 5,
        },
        name="ELBO",
        showlegend=False,
        customdata=[view.log_px.mean - stack.inference.mean for stack in view.stacks],
        hovertemplate="ELBO %{customdata:.3f}, %{y:.3f} nats below log p(x)<extra></extra>",
    )


def _number(stack: GapStack, k: int, shift: float, theme: Theme) -> dict[str, Any]:
    """Return the value of the inference gap, and its usual range, as an annotation below its stack."""
    end = _lowest(stack)
    words = f"<b>{nats(stack.inference.mean)}</b>" if isfinite(end) else "<b>diverged</b>"
    words += f"<br>({usual_words(stack.usual)})" if stack.usual else ""
    return {
        "text": words, "x": k, "y": (end if isfinite(end) else 0.0) + shift, "showarrow": False, "yanchor": "top",
        "xanchor": "center", "font": {"size": 11, "color": theme.text},
    }  # fmt: skip


def usual_words(usual: tuple[float, float]) -> str:
    """Return a range of gaps in words."""
    return " to ".join(map(nats, usual))


def _lowest(stack: GapStack) -> float:
    """Return where the error bar of the ELBO ends, in nats below log p(x); NaN where the refinement diverged."""
    return stack.inference.mean + (stack.inference.se or 0.0)


def figure(view: StacksView, styles: Mapping[str, MethodStyle], theme: Theme, with_svi: bool = False) -> go.Figure:
    """Return stacks from log p(x), at the top, down to each ELBO, with lines at the best Gaussians' ELBOs.

    Args:
        with_svi: leave a place at the right for the stack of SVI at its step, which the player of its film draws;
            `layout.meta.svi` is the place.
    """
    methods, count = len(view.stacks), len(view.stacks) + with_svi
    finite = [s for s in view.stacks if isfinite(_lowest(s))]
    deepest = max([_lowest(s) for s in finite] + [view.approximation.mean, 1e-3])
    highest = min([s.inference.mean for s in finite] + [0.0])
    span = deepest - highest
    notes = [_number(stack, k, 0.015 * span, theme) for k, stack in enumerate(view.stacks)]
    diagonal, full = (nats(view.log_px.mean - gap.mean) for gap in (view.approximation, view.full))
    best = f"ELBO of the best diagonal Gaussian {diagonal}" + ("" if view.full_is_diagonal else f", full {full}")
    notes.append(heading(theme, f"log p(x) {_log_px(view)} nats; {best}", 0.0, 1.0, yshift=4, font={"size": 10}))
    names = [shortened(styles[stack.method].label, LABEL) for stack in view.stacks] + ["SVI"] * with_svi
    turned = count > FEW
    top, bottom = 24, 118 if turned else 84
    layout = frame(theme, WIDTH, HEIGHT, (52, 8, top, bottom), barmode="overlay", showlegend=True)
    layout["annotations"] = notes
    layout["meta"] = {"svi": methods if with_svi else None}
    layout["xaxis"] = axis(
        theme, "", tickvals=list(range(count)), ticktext=names, range=[-0.5, count - 0.5], showgrid=False,
        tickangle=-35 if turned else 0, ticks="",
    )  # fmt: skip
    room = LINE * (2 if any(stack.usual for stack in view.stacks) else 1)
    below = (1 + ABOVE) * room / (HEIGHT - top - bottom - room)
    layout["yaxis"] = axis(theme, "nats below log p(x)", range=[deepest + below * span, highest - ABOVE * span])
    layout["legend"] = {
        "orientation": "h", "x": -0.08, "y": -0.36 if turned else -0.14, "xanchor": "left", "yanchor": "top",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)", "traceorder": "normal", "itemwidth": 30,
    }  # fmt: skip
    return go.Figure([*_bars(view, theme), *_lines(view, count, theme), _ends(view, theme)], layout)


def _log_px(view: StacksView) -> str:
    bound = "=" if view.exact else "≥"
    error = "" if view.log_px.se is None else f" ± {nats(view.log_px.se)}"
    return f"{bound} {nats(view.log_px.mean)}{error}"
