"""One column of a table of scores: the paper's mean and ours of each method, with standard deviations."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from gpvae_core.formatting import typographic
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, plain
from gpvae_core.sweep.scores import LOG_LIKELIHOOD, SCORES, decimals
from gpvae_core.tables.compare import Cell

WIDTH = 440
MARGIN = (64, 12, 6, 66)
"""Left, right, top, bottom in pixels."""
ROW, OFFSET, MIN_ROWS = 18, 0.17, 10
"""Height of a method's row in pixels, distance of both marks from its middle in rows, and smallest number of rows."""
LETTER = 6
"""Width of a letter of a method's name in pixels."""
OURS, PAPER = "ours", "paper"


def height(methods: int) -> int:
    """Return the height in pixels of a figure with this number of methods."""
    return MARGIN[2] + MARGIN[3] + ROW * max(methods, MIN_ROWS)


def _points(
    name: str, values: Sequence[tuple[float | None, float | None, str]], shift: float, symbol: str, colour: str
) -> Mark:
    """Return marks of (mean, sd, hover text) of each method, from the top, without those that have no mean."""
    known = [(mean, sd, words, k) for k, (mean, sd, words) in enumerate(values) if mean is not None]
    return scatter(
        x=[mean for mean, _, _, _ in known],
        y=[k + shift for _, _, _, k in known],
        mode="markers",
        name=name,
        marker={"symbol": symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
        error_x={
            "type": "data", "array": [sd or 0.0 for _, sd, _, _ in known],
            "color": colour, "thickness": 1.5, "width": 3,
        },
        text=[words for _, _, words, _ in known],
        hovertemplate=f"%{{text}}<extra>{name}</extra>",
        showlegend=bool(known),
    )  # fmt: skip


def words(name: str, mean: float | None, sd: float | None, runs: int | None, unit: str = LOG_LIKELIHOOD.unit) -> str:
    """Return the hover text of a mean."""
    digits = decimals(unit)
    spread = "" if sd is None else f" ± {sd:.{digits}f}"
    count = "" if runs is None else f", {runs} run{'s' if runs != 1 else ''}"
    return "" if mean is None else typographic(f"{plain(name)}: {mean:.{digits}f}{spread} {unit}{count}")


def figure(cells: Sequence[Cell], theme: Theme) -> go.Figure:
    """Return the figure of one column's cells (same data, d and decoder), in the table's order from the top."""
    paper = [(c.paper_mean, c.paper_sd, words(c.name, c.paper_mean, c.paper_sd, None, c.unit)) for c in cells]
    ours = [(c.mean, c.sd, words(c.name, c.mean, c.sd, c.runs, c.unit)) for c in cells]
    tall = height(len(cells))
    left = max(MARGIN[0], 10 + LETTER * max((len(cell.name) for cell in cells), default=0))
    layout = frame(theme, WIDTH, tall, (min(left, WIDTH // 3), *MARGIN[1:]), showlegend=True)
    score = SCORES[cells[0].unit]
    layout["xaxis"] = axis(theme, f"{score.name} ({score.unit}), bars: one standard deviation", nticks=6)
    layout["yaxis"] = axis(
        theme, "", range=[len(cells) - 0.5, -0.5], tickvals=list(range(len(cells))),
        ticktext=[plain(cell.name) for cell in cells], showgrid=True,
    )  # fmt: skip
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": -44 / (tall - MARGIN[2] - MARGIN[3]), "xanchor": "left", "yanchor": "top",
        "font": {"size": 11, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    first = _points(PAPER, paper, -OFFSET, "circle-open", theme.muted)
    second = _points(OURS, ours, OFFSET, "diamond", theme.gaussians[0].colour)
    return figure_of([first, second], layout)
