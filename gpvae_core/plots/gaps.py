"""View 6: how far below log p(x) the encoder's ELBO lies, and why, in nats, one stack for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from gpvae_core.explore.views import GapView
from gpvae_core.plots.marks import Mark, bar, scatter
from gpvae_core.plots.theme import Theme, axis, frame

WIDTH, HEIGHT = 440, 260


@dataclass(frozen=True)
class Piece:
    """One part of a stack: what it is called and how it is filled."""

    name: str
    colour: str
    pattern: str


def _pieces(theme: Theme) -> tuple[Piece, Piece, Piece]:
    return (
        Piece("approximation gap", theme.bar, ""),
        Piece("amortization gap", theme.bar_other, "/"),
        Piece("inference gap, not yet split", theme.muted, "."),
    )


def parts(view: GapView) -> tuple[float, float, float]:
    """(approximation, amortization, not yet split) in nats; they add up to log p(x) - ELBO."""
    if view.best_diagonal_elbo is None:
        return 0.0, 0.0, view.log_px - view.encoder_elbo
    return (
        view.log_px - view.best_diagonal_elbo,
        view.best_diagonal_elbo - view.encoder_elbo,
        0.0,
    )


def nats(value: float) -> str:
    """Two decimals with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _lines(view: GapView) -> str:
    """The values behind one bar."""
    bound = "" if view.log_px_truth == "grid" else " (lower bound)"
    first = f"<b>{view.run}</b>: log p(x) {nats(view.log_px)}{bound}, ELBO {nats(view.encoder_elbo)}: "
    first += f"gap <b>{nats(view.log_px - view.encoder_elbo)} nats</b>"
    known = []
    if view.best_diagonal_elbo is not None:
        known.append(f"best Gaussian's ELBO: {nats(view.best_diagonal_elbo)} diagonal")
    if view.best_full_elbo is not None:
        known.append(f"{nats(view.best_full_elbo)} full")
    return first + "<br>" + (", ".join(known) or "best Gaussian: being optimised")


def _bars(views: Sequence[GapView], theme: Theme) -> list[Mark]:
    rows = list(range(len(views)))
    lengths = list(zip(*(parts(view) for view in views), strict=True))
    bars = []
    for piece, values in zip(_pieces(theme), lengths, strict=True):
        bars.append(
            bar(
                y=rows,
                x=list(values),
                width=0.34,
                orientation="h",
                name=piece.name,
                marker={
                    "color": piece.colour,
                    "pattern": {
                        "shape": piece.pattern,
                        "fgcolor": theme.paper,
                        "size": 6,
                        "fillmode": "overlay",
                    },
                    "line": {"color": theme.text, "width": 0.8},
                },
                text=[f"<b>{nats(value)}</b>" if value else "" for value in values],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                insidetextfont={"color": "#000000", "size": 11},
                constraintext="inside",
                showlegend=any(value != 0.0 for value in values),
                hovertemplate=f"{piece.name}: %{{x:.3f}} nats<extra></extra>",
            )
        )
    return bars


def _full_marks(views: Sequence[GapView], theme: Theme) -> Mark:
    known = [(k, view) for k, view in enumerate(views) if view.best_full_elbo is not None]
    return scatter(
        x=[view.log_px - float(view.best_full_elbo or 0.0) for _, view in known],
        y=[k + 0.25 for k, _ in known],
        mode="markers",
        marker={"symbol": "triangle-up", "size": 11, "color": theme.highlight},
        name="best Gaussian with full covariance",
        showlegend=bool(known),
        hovertemplate="best full-covariance Gaussian: %{x:.3f} nats below log p(x)<extra></extra>",
    )


def figure(views: Sequence[GapView], theme: Theme) -> go.Figure:
    """A bar for each run from log p(x) (0, left) to the encoder's ELBO: approximation, then amortization gap."""
    notes: list[dict[str, Any]] = [
        {
            "text": _lines(view), "x": 0.0, "y": k - 0.22, "xref": "paper", "yref": "y", "showarrow": False,
            "xanchor": "left", "yanchor": "bottom", "align": "left", "font": {"size": 11, "color": theme.text},
        }
        for k, view in enumerate(views)
    ]  # fmt: skip
    layout = frame(
        theme,
        WIDTH,
        HEIGHT,
        (14, 14, 6, 76),
        barmode="relative",
        showlegend=True,
        annotations=notes,
    )
    lowest = [1.1 * part for view in views for part in parts(view)]
    widest = max([view.log_px - view.encoder_elbo for view in views] + [1e-3])
    layout["xaxis"] = axis(
        theme,
        "nats below log p(x)",
        range=[min(*lowest, -0.02 * widest), 1.06 * widest],
        nticks=7,
    )
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
    return go.Figure([*_bars(views, theme), _full_marks(views, theme)], layout)
