"""GP-Prior Lab: a grid of predictions at pairs of two categories, each beside the truth where it is known."""

from __future__ import annotations

import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import GridView
from gpvae_core.plots.prior_view import PictureSheet
from gpvae_core.plots.theme import Theme, plain, shortened

SIZE, PAD, LEFT, TOP = 52, 10, 110, 34


def figure(view: GridView, theme: Theme) -> go.Figure:
    """Return the grid: of each pair the prediction, and to its right the true image, framed where it was not seen."""
    wide, high = 2 * SIZE + 2 + PAD, SIZE + 18 + PAD
    sheet = PictureSheet(theme, LEFT + len(view.columns) * wide, TOP + len(view.rows) * high)
    for j, name in enumerate(view.columns):
        sheet.say(f"<b>{shortened(name, 18)}</b>", LEFT + j * wide + SIZE, TOP - 6)
    for i, (name, cells) in enumerate(zip(view.rows, view.cells, strict=True)):
        y = TOP + i * high
        sheet.say(f"<b>{shortened(name, 16)}</b>", 4, y + SIZE / 2 + 6, xanchor="left")
        for j, cell in enumerate(cells):
            x = LEFT + j * wide
            sheet.image(cell.predicted, x, y, SIZE, theme.gaussians[0].colour, 2)
            if cell.truth is None:
                sheet.say("no image", x + 1.5 * SIZE + 2, y + SIZE / 2 + 6, 10)
                continue
            colour, width = (theme.muted, 1) if cell.trained else (theme.base, 2.5)
            sheet.image(cell.truth, x + SIZE + 2, y, SIZE, colour, width)
            seen = "seen" if cell.trained else "not seen"
            sheet.say(plain(f"MSE {cell.mse:.4f}, {seen}"), x + SIZE, y + SIZE + 3, 10, yanchor="top")
    return sheet.figure()
