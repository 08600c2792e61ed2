"""The inference gap of each method and its parts, as one stack per method that hangs from log p(x)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan
from statistics import median
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import GapStack, StacksView
from gpvae_core.plots.gaps import GAIN, gain, nats
from gpvae_core.plots.marks import Mark, bar, figure_of, scatter
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.theme import Theme, axis, frame, heading, shortened, translucent

WIDTH, HEIGHT, LEFT, RIGHT = 440, 330, 52, 8
BAR = 0.56
LABEL = 15
"""Largest length of a method's name below its stack."""
LINE = 18
"""Height in pixels of a line of text below a stack."""
ABOVE = 0.04
"""Share of the deepest stack's length that is free above log p(x)."""
FEW = 4
"""Largest number of horizontal names; more are rotated."""
MOST_RANGES = 5
"""Largest number of stacks with the usual range of each below it; those of more would lie over one another."""
VEIL = 0.7
"""Opacity of the paper behind the numbers of narrow stacks, through which lines and the pattern of a gain are seen."""
WHOLE = 100.0
"""Gap in nats from which on it stands in whole nats where there is no room for more digits."""
LONGER, SPARE = 8.0, 1.25
"""A stack is cut that is more than LONGER times as long as the median of the shorter ones and as the approximation gap;
then there is room for SPARE times the longest of these."""
CUT = 0.92
"""Depth of the mark of a stack that is cut, as a share of its length as drawn."""


def _piece(
    name: str, bases: list[float], lengths: list[float], depth: float, fill: tuple[str, str, str], theme: Theme
) -> Mark:
    """Return bars, cut at `depth`, with a fill: colour, pattern and the pattern's colour."""
    colour, pattern, ink = fill
    return bar(
        x=list(range(len(lengths))),
        y=[min(length, depth - base) for base, length in zip(bases, lengths, strict=True)],
        customdata=lengths,
        base=bases,
        width=BAR,
        name=name,
        marker={
            "color": colour,
            "pattern": {"shape": pattern, "fgcolor": ink, "size": 6, "fillmode": "overlay"},
            "line": {"color": theme.text, "width": 0.8},
        },
        showlegend=any(length != 0.0 for length in lengths),
        hovertemplate=f"{name}: %{{customdata:.3f}} nats<extra></extra>",
    )


def pieces(view: StacksView) -> tuple[list[float], list[float], list[float]]:
    """Return the approximation gap, the amortization gap and the regained nats of each method.

    A posterior that exceeds the best diagonal Gaussian regains a part of the approximation gap, which is then shorter.
    """
    whole = view.approximation.mean
    amortization = [stack.amortization.mean for stack in view.stacks]
    won = [gain(whole, a) for a in amortization]
    return [max(0.0, whole - w) for w in won], [max(0.0, a) for a in amortization], won


def _bars(view: StacksView, depth: float, theme: Theme) -> list[Mark]:
    approximation, amortization, won = pieces(view)
    return [
        _piece("approximation gap", [0.0] * len(won), approximation, depth, (theme.bar, "", theme.paper), theme),
        _piece("amortization gap", approximation, amortization, depth, (theme.bar_other, "/", theme.paper), theme),
        _piece(GAIN, approximation, won, depth, ("rgba(0,0,0,0)", ".", theme.text), theme),
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


def _ends(view: StacksView, depth: float, theme: Theme) -> Mark:
    """Return a mark at each ELBO, with its standard error, but for stacks that are cut."""
    return scatter(
        x=list(range(len(view.stacks))),
        y=[nan if _lowest(stack) > depth else stack.inference.mean for stack in view.stacks],
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
        text=[f" ({usual_words(stack.usual)})" if stack.usual else "" for stack in view.stacks],
        hovertemplate="ELBO %{customdata:.3f}, %{y:.3f}%{text} nats below log p(x)<extra></extra>",
    )


def _cuts(view: StacksView, depth: float, count: int, theme: Theme) -> list[Mark]:
    """Return a gap between two lines across each stack that is cut, none where none is."""
    cut = [k for k, stack in enumerate(view.stacks) if _lowest(stack) > depth]
    size = BAR * (WIDTH - LEFT - RIGHT) / count + 8
    return [
        scatter(
            x=cut, y=[place * depth] * len(cut), mode="markers", hoverinfo="skip", name="cut: longer than the axis",
            marker={"symbol": "line-ew", "size": size, "line": {"color": colour, "width": width}}, showlegend=shown,
        )
        for place, colour, width, shown in (
            (CUT, theme.paper, 7, False), (CUT - 0.015, theme.text, 1.5, True), (CUT + 0.015, theme.text, 1.5, False),
        )
        if cut
    ]  # fmt: skip


def shows_ranges(count: int) -> bool:
    """Return whether the usual ranges stand below `count` stacks; else they show under the pointer alone."""
    return count <= MOST_RANGES


def _number(stack: GapStack, k: int, shift: float, depth: float, ranges: bool, theme: Theme) -> dict[str, Any]:
    """Return the value of the inference gap, and its usual range, as an annotation below its stack."""
    end = _lowest(stack)
    gap = stack.inference.mean
    value = f"{gap:,.0f}" if gap >= WHOLE and not ranges else nats(gap)
    words = f"<b>{value}</b>" if isfinite(end) else "<b>diverged</b>"
    usual = f"({usual_words(stack.usual)})" if stack.usual else ""
    more = {"text": f"{words}<br>{usual}" if usual and ranges else words, **({"hovertext": usual} if usual else {})}
    return {
        **more, "x": k, "y": (min(end, depth) if isfinite(end) else 0.0) + shift, "showarrow": False, "yanchor": "top",
        "xanchor": "center", "font": {"size": 11, "color": theme.text},
        **({} if ranges else {"bgcolor": translucent(theme.paper, VEIL), "borderpad": 0}),
    }  # fmt: skip


def usual_words(usual: tuple[float, float]) -> str:
    """Return a range of gaps in words."""
    return " to ".join(map(nats, usual))


def _lowest(stack: GapStack) -> float:
    """Return where the error bar of the ELBO ends, in nats below log p(x); NaN where the refinement diverged."""
    return stack.inference.mean + (stack.inference.se or 0.0)


def depth_shown(view: StacksView) -> float:
    """Return how far down stacks are drawn, in nats below log p(x); those that are longer are cut."""
    shortest = max(view.approximation.mean, 1e-3)
    ends = sorted(end for end in map(_lowest, view.stacks) if isfinite(end))
    kept = list(ends)
    while len(kept) > 1 and kept[-1] > LONGER * max(median(kept[:-1]), shortest):
        kept.pop()
    deepest = max([*kept, shortest])
    return deepest if len(kept) == len(ends) else SPARE * deepest


def figure(view: StacksView, styles: Mapping[str, MethodStyle], theme: Theme, with_svi: bool = False) -> go.Figure:
    """Return stacks from log p(x), at the top, down to each ELBO, with lines at the best Gaussians' ELBOs.

    Args:
        with_svi: leave a place at the right for the stack of SVI at its step, which the player of its film draws;
            `layout.meta.svi` is the place.
    """
    methods, count = len(view.stacks), len(view.stacks) + with_svi
    finite = [s for s in view.stacks if isfinite(_lowest(s))]
    deepest, ranges = depth_shown(view), shows_ranges(count)
    highest = min([s.inference.mean for s in finite] + [0.0])
    span = deepest - highest
    notes = [_number(stack, k, 0.015 * span, deepest, ranges, theme) for k, stack in enumerate(view.stacks)]
    diagonal, full = (nats(view.log_px.mean - gap.mean) for gap in (view.approximation, view.full))
    best = f"ELBO of the best diagonal Gaussian {diagonal}" + ("" if view.full_is_diagonal else f", full {full}")
    notes.append(heading(theme, f"log p(x) {_log_px(view)} nats; {best}", 0.0, 1.0, yshift=4, font={"size": 10}))
    names = [shortened(styles[stack.method].label, LABEL) for stack in view.stacks] + ["SVI"] * with_svi
    turned = count > FEW
    top, bottom = 24, 118 if turned else 84
    layout = frame(theme, WIDTH, HEIGHT, (LEFT, RIGHT, top, bottom), barmode="overlay", showlegend=True)
    layout["annotations"] = notes
    layout["meta"] = {"svi": methods if with_svi else None}
    layout["xaxis"] = axis(
        theme, "", tickvals=list(range(count)), ticktext=names, range=[-0.5, count - 0.5], showgrid=False,
        tickangle=-35 if turned else 0, ticks="",
    )  # fmt: skip
    room = LINE * (2 if ranges and any(stack.usual for stack in view.stacks) else 1)
    below = (1 + ABOVE) * room / (HEIGHT - top - bottom - room)
    layout["yaxis"] = axis(theme, "nats below log p(x)", range=[deepest + below * span, highest - ABOVE * span])
    layout["legend"] = {
        "orientation": "h", "x": -0.08, "y": -0.36 if turned else -0.14, "xanchor": "left", "yanchor": "top",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)", "traceorder": "normal", "itemwidth": 30,
    }  # fmt: skip
    marks = [*_bars(view, deepest, theme), *_cuts(view, deepest, count, theme), *_lines(view, count, theme)]
    return figure_of([*marks, _ends(view, deepest, theme)], layout)


def _log_px(view: StacksView) -> str:
    bound = "=" if view.exact else "≥"
    error = "" if view.log_px.se is None else f" ± {nats(view.log_px.se)}"
    return f"{bound} {nats(view.log_px.mean)}{error}"
