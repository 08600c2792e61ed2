"""The panes of the GP-Prior Lab about an object at any value of a number, such as its angle."""

from __future__ import annotations

import html
from collections.abc import Hashable

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import TurnView
from gpvae_core.plots import prior_view
from gpvae_core.plots.prior_view import place_words

Views = tuple[TurnView, ...]
NO_PROCESS = (
    "{run} has no process over {axis}: the latents of an object are the same at all its values, and the decoder is "
    "told the value."
)


class TurnPane(PriorLabPane):
    """One card about the chosen object."""

    def shown(self, request: PriorLabRequest) -> bool:
        return bool(request.turns)

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.both, request.item, request.at

    def drawing_key(self, request: PriorLabRequest) -> Hashable:
        return request.theme.name

    def subject(self, request: PriorLabRequest) -> str:
        return f"{super().subject(request)}, {request.turns[0].name(request.item)}"

    def compute(self, request: PriorLabRequest, progress: object) -> Views:
        return request.turn_views()


class PredictedView(TurnPane):
    """The predicted image at the chosen value, its uncertainty, and the true one where there is one."""

    name = "prior_view"
    title = "Prediction"
    to_csv = one_file(export.turn)

    def draw(self, view: Views, request: PriorLabRequest) -> Content:
        first = view[0]
        return Content(
            figure=as_json(prior_view.prediction(view, request.theme)),
            sub=f"{first.thing} at {place_words(first.at, first.axis)}",
            sentence="The latents at this place given all training images: their mean, decoded, and the standard "
            "deviation of a pixel over samples of them, without the pixels' own noise.",
            alt=f"{first.thing} at {place_words(first.at, first.axis)}; {errors_in_words(view)}",
        )


class LatentsOverNumber(TurnPane):
    """The latents of the object over the number."""

    name = "prior_latents"
    title = "Latents of the object"
    to_csv = one_file(export.turn_latents)

    def draw(self, view: Views, request: PriorLabRequest) -> Content:
        first = view[0]
        if not first.has_process:
            return Content(message=NO_PROCESS.format(run=first.run, axis=first.axis))
        return Content(
            figure=as_json(prior_view.curves(view, request.theme)),
            sub=f"{first.run}, {first.thing}",
            sentence=f"The {len(first.coordinates)} channels that vary most over {first.axis}; band: two posterior "
            "standard deviations on either side of the mean. Ticks: training views of the object. Dotted: the place "
            "that is shown.",
            alt=f"Latent channels {', '.join(first.coordinates)} of {first.thing} over {first.axis}",
        )


def errors_in_words(views: Views) -> str:
    """Return the error and the uncertainty of each run's prediction."""
    return "; ".join(f"{view.run}: {error_in_words(view)}" for view in views)


def error_in_words(view: TurnView) -> str:
    """Return the error, where there is a true view, and the uncertainty of a prediction."""
    spread = f"standard deviation of a pixel at most {view.spread.max():.3f}"
    if view.mse is None or view.truth is None:
        return spread
    seen = "trained on" if view.truth.split == "train" else "not trained on"
    of = prior_view.SPLITS[view.truth.split]
    return f"MSE {view.mse:.4f} of a pixel against the {of} image, which was {seen}; {spread}"


def summary(views: Views) -> str:
    """Return the line above the cards as HTML: what the prior says of the object at this place, and how surely."""
    first = views[0]
    parts = "; ".join(f"<b>{html.escape(view.run)}</b> {html.escape(error_in_words(view))}" for view in views)
    place = f"{first.thing} at {place_words(first.at, first.axis)}"
    none = "" if first.truth is not None else " (no image in the data)"
    return f"{html.escape(place)}{none}: {parts}."


PANES = PredictedView(), LatentsOverNumber()
