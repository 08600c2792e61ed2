"""The positions of inducing points over training, with one panel for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jaxtyping import Float
from numpy import ndarray

from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, nth, plain, shortened

PANEL, HEIGHT, GAP = 250, 250, 0.05
"""Width of a panel and height of a row in pixels, and the gap between panels as a share of the width."""
COLUMNS = 3
MARGIN = (62, 24, 40, 50)
"""Left, right, top, bottom in pixels."""
TITLE = 36
"""Letters of a run's name above its panel."""


@dataclass(frozen=True)
class PointPaths:
    """The positions of one run's inducing points, under the run's title."""

    name: str
    epochs: Sequence[int]
    positions: Float[ndarray, "E m"]
    low: float
    """Least position of a training image."""
    high: float


@dataclass(frozen=True)
class PointPathsView:
    """The positions of several runs' inducing points along one column."""

    runs: Sequence[PointPaths]
    column: str
    """Name of the column with its unit."""


def figure(view: PointPathsView, theme: Theme, most_columns: int = COLUMNS, least_columns: int = 1) -> go.Figure:
    """Return a panel for each run, with a line for each point, at most so many panels in a row.

    Fewer panels are as wide as so many together.

    The dotted lines are the ends of the training images' values. Colours follow the order of the last positions.
    """
    runs = view.runs
    columns = min(most_columns, len(runs))
    room = max(columns, least_columns)
    rows = -(-len(runs) // columns)
    layout = frame(theme, MARGIN[0] + MARGIN[1] + PANEL * room, MARGIN[2] + MARGIN[3] + HEIGHT * rows, MARGIN)
    wide, high = (1 - GAP * (columns - 1)) / columns, (1 - 0.22 * (rows - 1) / rows) / rows
    marks: list[Mark] = []
    notes = []
    least = min(float(min(run.positions.min(), run.low)) for run in runs)
    most = max(float(max(run.positions.max(), run.high)) for run in runs)
    pad = 0.04 * (most - least or 1.0)
    for k, run in enumerate(runs):
        row, place = divmod(k, columns)
        left, top = place * (wide + GAP), 1 - row * (1 - high) / max(1, rows - 1)
        x, y = f"x{nth(k)}", f"y{nth(k)}"
        layout[f"xaxis{nth(k)}"] = axis(theme, "epoch", domain=[left, min(1.0, left + wide)], anchor=y)
        title = plain(f"inducing points, {view.column}") if place == 0 else ""
        layout[f"yaxis{nth(k)}"] = axis(
            theme, title, domain=[max(0.0, top - high), top], anchor=x, range=[least - pad, most + pad],
            showticklabels=place == 0,
        )  # fmt: skip
        notes.append(heading(theme, shortened(run.name, TITLE), left, top + 0.005))
        marks += _panel(run, x, y, theme)
    layout["annotations"] = notes
    return figure_of(marks, layout)


def _panel(run: PointPaths, x: str, y: str, theme: Theme) -> list[Mark]:
    ends = [run.epochs[0], run.epochs[-1]]
    marks = [
        scatter(
            x=ends, y=[value] * 2, mode="lines", xaxis=x, yaxis=y, hoverinfo="skip",
            line={"color": theme.muted, "width": 1, "dash": "dot"},
        )
        for value in (run.low, run.high)
    ]  # fmt: skip
    order = run.positions[-1].argsort()
    for rank, point in enumerate(order):
        colour = theme.sequential[rank * (len(theme.sequential) - 1) // max(1, len(order) - 1)]
        marks.append(
            scatter(
                x=list(run.epochs), y=run.positions[:, point].tolist(), xaxis=x, yaxis=y,
                mode="lines+markers" if len(run.epochs) < 8 else "lines", name=f"point {int(point) + 1}",
                line={"color": colour, "width": 1.6}, marker={"size": 4, "color": colour},
                hovertemplate=f"point {int(point) + 1}: %{{y:.3g}} after epoch %{{x}}<extra></extra>",
            )
        )  # fmt: skip
    return marks
