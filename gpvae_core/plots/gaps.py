"""View 6: the inference gap and its parts, in nats, with one stack per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.views import GapView
from gpvae_core.plots.marks import Mark, bar, figure_of, scatter, texts
from gpvae_core.plots.theme import Theme, axis, frame, plain, shortened

WIDTH, HEIGHT = 440, 260
MARGIN = (14, 14, 6, 76)
"""Left, right, top, bottom in pixels."""
BAR, ABOVE, BELOW = 0.3, 0.23, 0.22
"""Height of a bar, and distances from its middle to the numbers above it and the triangle below it, in rows."""
GAIN = "gain over q*"
"""Name of the part of the approximation gap that a posterior other than a diagonal Gaussian does not have."""
LETTER = 7.0
"""Width of a bold digit in pixels."""
NAME_LENGTH = 14
"""Largest length of a run's name, which leaves room for its numbers."""


@dataclass(frozen=True)
class Piece:
    """Name and fill of one part of a stack: its colour, its pattern and the pattern's colour."""

    name: str
    colour: str
    pattern: str
    ink: str


def _pieces(theme: Theme) -> tuple[Piece, ...]:
    return (
        Piece("approximation gap", theme.bar, "", theme.paper),
        Piece("amortization gap", theme.bar_other, "/", theme.paper),
        Piece(GAIN, "rgba(0,0,0,0)", ".", theme.text),
        Piece("inference gap, not yet split", theme.muted, ".", theme.paper),
    )


def parts(view: GapView) -> tuple[float, float, float]:
    """Return (approximation gap, amortization gap, gap not yet split), which add up to log p(x) - ELBO, in nats."""
    if view.best_diagonal_elbo is None:
        return 0.0, 0.0, view.log_px - view.encoder_elbo
    return (
        view.log_px - view.best_diagonal_elbo,
        view.best_diagonal_elbo - view.encoder_elbo,
        0.0,
    )


def gain(approximation: float, amortization: float) -> float:
    """Return by how much the ELBO exceeds that of the best diagonal Gaussian q*, at most the approximation gap; nats.

    Only a posterior that is no diagonal Gaussian, such as a flow, can exceed it; its amortization gap is then negative.
    """
    return min(max(0.0, -amortization), max(0.0, approximation))


def lengths(view: GapView) -> tuple[float, ...]:
    """Return the length of each piece of the bar, nats: a gain is a part of the approximation gap."""
    approximation, amortization, whole = parts(view)
    won = gain(approximation, amortization)
    return approximation - won, amortization + won, won, whole


def nats(value: float) -> str:
    """Format a number with two decimals and a typographic minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _lines(view: GapView) -> str:
    """Return the text above one bar."""
    bound = "" if view.exact else "≥ "
    name, gap = shortened(view.run, NAME_LENGTH), nats(view.log_px - view.encoder_elbo)
    first = f"<b>{name}</b>: log p(x) {bound}{nats(view.log_px)}, "
    first += f"ELBO {nats(view.encoder_elbo)}: gap <b>{bound}{gap} nats</b>"
    known = []
    if view.best_diagonal_elbo is not None:
        family = "" if view.full_is_diagonal else " diagonal"
        known.append(f"best Gaussian's ELBO: {nats(view.best_diagonal_elbo)}{family}")
    if view.best_full_elbo is not None and not view.full_is_diagonal:
        known.append(f"{nats(view.best_full_elbo)} full")
    known = known or ["best Gaussian: being optimised", *["log p(x): provisional"] * view.provisional]
    return f"{first}<br>{', '.join(known)}"


def _bars(views: Sequence[GapView], theme: Theme) -> list[Mark]:
    rows = list(range(len(views)))
    bars = []
    for piece, values in zip(_pieces(theme), zip(*map(lengths, views), strict=True), strict=True):
        bars.append(
            bar(
                y=rows,
                x=list(values),
                width=BAR,
                orientation="h",
                name=piece.name,
                marker={
                    "color": piece.colour,
                    "pattern": {
                        "shape": piece.pattern,
                        "fgcolor": piece.ink,
                        "size": 6,
                        "fillmode": "overlay",
                    },
                    "line": {"color": theme.text, "width": 0.8},
                },
                showlegend=any(value != 0.0 for value in values),
                hovertemplate=f"{piece.name}: %{{x:.3f}} nats<extra></extra>",
            )
        )
    return bars


def _numbers(view: GapView, row: int, per_pixel: float, theme: Theme) -> list[dict[str, Any]]:
    """Return the length of each part as an annotation: inside the part if it is wide enough, else above the bar."""
    notes, ends, taken = [], {True: 0.0, False: 0.0}, 0.0
    for piece, length in zip(_pieces(theme), lengths(view), strict=True):
        if length == 0.0:
            continue
        start = ends[length > 0.0]
        ends[length > 0.0] += length
        text = nats(length)
        centre, needed = start + 0.5 * length, (LETTER * len(text) + 4.0) * per_pixel
        inside = abs(length) >= needed
        if not inside:
            centre = max(centre, taken + needed / 2)
            taken = centre + needed / 2
        notes.append(
            {
                "text": f"<b>{text}</b>", "x": centre, "y": row if inside else row - ABOVE,
                "xanchor": "center", "yanchor": "middle",
                "font": {"size": 11, "color": "#000000" if inside and piece.name != GAIN else theme.text},
            }
        )  # fmt: skip
    return notes


def _full_marks(views: Sequence[GapView], theme: Theme) -> Mark:
    known = [(k, view) for k, view in enumerate(views) if view.best_full_elbo is not None and not view.full_is_diagonal]
    return scatter(
        x=[view.log_px - float(view.best_full_elbo or 0.0) for _, view in known],
        y=[k + BELOW for k, _ in known],
        mode="markers",
        marker={"symbol": "triangle-up", "size": 11, "color": theme.highlight},
        name="best Gaussian with full covariance",
        showlegend=bool(known),
        hovertemplate="best full-covariance Gaussian: %{x:.3f} nats below log p(x)<extra></extra>",
    )


def figure(views: Sequence[GapView], theme: Theme) -> go.Figure:
    """Return one bar per run from log p(x) (left, at 0) to the encoder's ELBO: approximation and amortization gap."""
    lowest = [1.1 * length for view in views for length in lengths(view)]
    widest = max([sum(max(length, 0.0) for length in lengths(view)) for view in views] + [1e-3])
    span = (min(*lowest, -0.02 * widest), 1.06 * widest)
    per_pixel = (span[1] - span[0]) / (WIDTH - MARGIN[0] - MARGIN[1])
    notes: list[dict[str, Any]] = [
        {
            "text": _lines(view), "hovertext": plain(view.run), "x": span[0], "y": k - 0.35,
            "xanchor": "left", "yanchor": "bottom", "font": {"size": 11, "color": theme.text},
        }
        for k, view in enumerate(views)
    ]  # fmt: skip
    notes += [note for k, view in enumerate(views) for note in _numbers(view, k, per_pixel, theme)]
    layout = frame(theme, WIDTH, HEIGHT, MARGIN, barmode="relative", showlegend=True)
    layout["xaxis"] = axis(theme, "nats below log p(x)", range=span, nticks=7)
    layout["yaxis"] = axis(
        theme,
        "",
        range=[len(views) - 0.6, -0.75],
        showticklabels=False,
        showgrid=False,
        ticks="",
        showline=False,
    )
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": -0.20, "xanchor": "left", "yanchor": "top",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)", "traceorder": "normal",
    }  # fmt: skip
    return figure_of([*_bars(views, theme), _full_marks(views, theme), texts(notes)], layout)
