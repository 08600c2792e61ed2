"""The pane of the GP-Prior Lab about pairs of two categories, such as characters in poses."""

from __future__ import annotations

import html
from collections.abc import Hashable, Mapping

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import CellKind, GridView
from gpvae_core.plots import prior_grid

READ = (
    "Of each pair, left: the decoded mean of the latents; right: the true image. Its frame is thick where the model "
    "saw no image of the pair (generated), dotted where it was given (as one of the first of a new row), and thin "
    "where it was trained on. Shown are the columns with most pairs to generate. A click on a pair picks it for the "
    "cards below."
)
ERRORS_OF: Mapping[CellKind, str] = {
    "generated": "for those generated (not trained on)",
    "given": "for those given",
    "trained": "for those trained on",
}


def grid_view(request: PriorLabRequest) -> GridView:
    """Return the grid from the chosen row on; computed once."""
    grid = request.grid
    assert grid is not None
    return request.lab.results.get(("grid view", request.item), lambda: grid.view(request.item))


class PairGrid(PriorLabPane):
    """Predictions at pairs of two categories, beside the true images."""

    name = "prior_grid"
    title = "Pairs"
    to_csv = one_file(export.grid)

    def shown(self, request: PriorLabRequest) -> bool:
        return request.grid is not None

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.lab, request.item

    def drawing_key(self, request: PriorLabRequest) -> Hashable:
        return request.theme.name, request.pair

    def compute(self, request: PriorLabRequest, progress: object) -> GridView:
        return grid_view(request)

    def draw(self, view: GridView, request: PriorLabRequest) -> Content:
        return Content(
            figure=as_json(prior_grid.figure(view, request.theme, request.pair)),
            sub=f"{view.row_name} (rows) and {view.column_name} (columns), {view.run}",
            sentence=f"{READ}{_new_words(view)}",
            picks=True,
            chosen=request.pair,
            alt=f"Grid of {len(view.rows)} by {len(view.columns)} predictions; {error_in_words(view)}",
        )


def _new_words(view: GridView) -> str:
    """Return what the model knows of new categories; '' where none is shown."""
    if not any(view.new):
        return ""
    given = any(cell.kind == "given" for cells in view.cells for cell in cells)
    known = "found from its first images, which are given" if given else "unknown to the model, which is given no image"
    return f" No image of a {view.row_name} that is new was trained on: it is {known}."


def error_in_words(view: GridView) -> str:
    """Return the errors of the pairs shown, by what the model has seen of them."""
    words = [f"{view.errors[kind]:.4f} {of}" for kind, of in ERRORS_OF.items() if kind in view.errors]
    return f"MSE of a pixel over the pairs shown: {', '.join(words)}" if words else "no true images"


def summary(view: GridView) -> str:
    """Return the line above the cards as HTML: what the prior says of pairs that were not seen."""
    return f"<b>{html.escape(view.run)}</b>: {html.escape(error_in_words(view))}."


PANES = (PairGrid(),)
