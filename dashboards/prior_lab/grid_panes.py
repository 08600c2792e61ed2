"""The pane of the GP-Prior Lab about pairs of two categories, such as characters in poses."""

from __future__ import annotations

import html
from collections.abc import Hashable

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import GridView, mean_errors
from gpvae_core.plots import prior_grid


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
        return request.theme.name

    def compute(self, request: PriorLabRequest, progress: object) -> GridView:
        return grid_view(request)

    def draw(self, view: GridView, request: PriorLabRequest) -> Content:
        return Content(
            figure=as_json(prior_grid.figure(view, request.theme)),
            sub=f"{view.row_name} (rows) and {view.column_name} (columns), {view.run}",
            sentence="Of each pair, left: the decoded mean of the latents, given all training images; right: the true "
            "image, in a red frame where it was not trained on. Shown are the columns with most of these.",
            alt=f"Grid of {len(view.rows)} by {len(view.columns)} predictions; {error_in_words(view)}",
        )


def error_in_words(view: GridView) -> str:
    """Return the errors of the pairs that were not seen, and of those that were."""
    unseen, seen = mean_errors(view)
    words = [] if unseen is None else [f"MSE {unseen:.4f} of a pixel over the pairs shown that were not trained on"]
    words += [] if seen is None else [f"{seen:.4f} over those that were"]
    return ", ".join(words) or "no true images"


def summary(view: GridView) -> str:
    """Return the line above the cards as HTML: what the prior says of pairs that were not seen."""
    return f"<b>{html.escape(view.run)}</b>: {html.escape(error_in_words(view))}."


PANES = (PairGrid(),)
