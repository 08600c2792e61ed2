"""The pane of the GP-Prior Lab about the training views on which a prediction rests."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import BehindView, Rests, ShownImage
from gpvae_core.plots import prior_view
from gpvae_core.plots.prior_view import place_words

RESTS: Mapping[Rests, str] = {
    "weights": "The predicted mean of the latents is a weighted sum of what the encoder says of each training view. "
    "Below a view: its share in the absolute weights of all, largest first.",
    "identity": "A conditional VAE has no process: the predicted mean of the latents is the mean of what the encoder "
    "says of the object's own training views, all with the same share, and the decoder is told the columns.",
    "free": "This method's posterior has parameters of its own, so that no training view has a weight in a "
    "prediction. Shown are the object's own training views{nearest}.",
    "nothing": "This model has no category that tells which views show the same object: its latents have the prior, "
    "and no training view has a weight. Shown are training views{nearest}.",
}
NO_VIEWS = "{run} knows no training view of {thing}: its latents have the prior, and rest on none."


class ViewsBehindIt(PriorLabPane):
    """The training views on which the prediction for the picked object or pair rests."""

    name = "prior_behind"
    title = "Training views it rests on"
    to_csv = one_file(export.behind)

    def shown(self, request: PriorLabRequest) -> bool:
        return bool(request.turns) or request.grid is not None

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.lab, request.item, request.at, request.pair

    def drawing_key(self, request: PriorLabRequest) -> Hashable:
        return request.theme.name

    def compute(self, request: PriorLabRequest, progress: object) -> BehindView:
        if request.grid is None:
            return request.turn_views()[0].behind
        return request.grid.behind(request.chosen_pair())

    def draw(self, view: BehindView, request: PriorLabRequest) -> Content:
        if not view.views:
            return Content(message=NO_VIEWS.format(run=view.run, thing=view.thing))
        effective = "" if view.effective is None else f", effectively {view.effective:,.0f} of {view.given:,}"
        return Content(
            figure=as_json(prior_view.behind(view, request.theme)),
            sub=f"{view.thing}{effective}",
            sentence=RESTS[view.rests].format(nearest=", nearest first" if view.axis else ""),
            alt="; ".join(_words(shown, view) for shown in view.views),
        )


def _words(shown: ShownImage, view: BehindView) -> str:
    place = "" if shown.at is None else f" at {place_words(shown.at, view.axis)}"
    share = "" if shown.share is None else f": {100 * shown.share:.1f} %"
    return f"{shown.thing}{place}{share}"


PANES = (ViewsBehindIt(),)
