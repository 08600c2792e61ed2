"""GP-Prior Lab: a grid of predictions at pairs of two categories, each beside the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import CellKind, GridView
from gpvae_core.plots.marks import scatter
from gpvae_core.plots.prior_view import PictureSheet
from gpvae_core.plots.theme import Theme, plain, shortened

SIZE, PAD, LEFT, TOP = 52, 10, 110, 34
KINDS: Mapping[CellKind, str] = {"generated": "generated", "given": "given", "trained": "trained on"}
"""What stands below the pairs of each kind."""
FRAMES: Mapping[CellKind, tuple[float, str]] = {
    "generated": (3.0, "solid"),
    "given": (2.0, "dot"),
    "trained": (1.0, ""),
}
"""Width in pixels and dash of the frame around the true image of each kind."""


def figure(view: GridView, theme: Theme, chosen: int | None = None) -> go.Figure:
    """Return the grid: of each pair the prediction, and to its right the true image, framed by what was seen of it.

    Args:
        chosen: place of the pair that has a ring, counted along the rows; `customdata` of a mark is its pair's place.
    """
    wide, high = 2 * SIZE + 2 + PAD, SIZE + 18 + PAD
    sheet = PictureSheet(theme, LEFT + len(view.columns) * wide, TOP + len(view.rows) * high)
    for j, name in enumerate(view.columns):
        sheet.say(f"<b>{shortened(name, 18)}</b>", LEFT + j * wide + SIZE, TOP - 6)
    for i, (name, new, cells) in enumerate(zip(view.rows, view.new, view.cells, strict=True)):
        y = TOP + i * high
        sheet.say(f"<b>{shortened(name, 16)}</b>", 4, y + SIZE / 2 + 2, xanchor="left")
        sheet.say(f"{'new' if new else 'in training'}", 4, y + SIZE / 2 + 4, 10, xanchor="left", yanchor="top")
        for j, cell in enumerate(cells):
            x = LEFT + j * wide
            sheet.image(cell.predicted, x, y, SIZE, theme.gaussians[0].colour, 2)
            if cell.truth is None:
                sheet.say("no image", x + 1.5 * SIZE + 2, y + SIZE / 2 + 6, 10)
                continue
            width, dash = FRAMES[cell.kind]
            colour = theme.muted if cell.kind == "trained" else theme.bar_other
            sheet.image(cell.truth, x + SIZE + 2, y, SIZE, colour, width, dash)
            sheet.say(plain(f"MSE {cell.mse:.4f}, {KINDS[cell.kind]}"), x + SIZE, y + SIZE + 3, 10, yanchor="top")
    places = [(LEFT + j * wide, TOP + i * high) for i in range(len(view.rows)) for j in range(len(view.columns))]
    sheet.mark(
        scatter(
            x=[x + SIZE + 1 for x, _ in places], y=[y + SIZE / 2 for _, y in places], mode="markers",
            customdata=list(range(len(places))),
            text=[plain(f"{row}, {column}") for row in view.rows for column in view.columns],
            hovertemplate="%{text}<extra></extra>",
            marker={"symbol": "square", "size": SIZE + 8, "color": "rgba(0,0,0,0)"},
        )
    )  # fmt: skip
    if chosen is not None:
        x, y = places[chosen]
        sheet.ring(x - 4, y - 4, 2 * SIZE + 10, SIZE + 24)
    return sheet.figure()
