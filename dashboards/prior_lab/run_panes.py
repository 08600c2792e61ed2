"""The panes of the GP-Prior Lab about a run as a whole: the terms of its training, and its latents."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.training_curves import training_curve
from gpvae_core.inspection.prior_lab.views import PriorMap, TrainingCurve
from gpvae_core.plots import prior_map, training_terms
from gpvae_core.progress import Progress, duration

TERMS_READ = (
    "E log p(y|z) of the training images and, taken from it, the KL term to the prior: their difference is the bound. "
    "Validation score: log predictive bound of held-out images."
)
GECO_READ = " GECO raises λ while the constraint C, mean square error less its tolerance, is above 0."


class TrainingTerms(PriorLabPane):
    """The terms of the bound over the epochs of each run."""

    name = "prior_training"
    title = "Training"
    to_csv = one_file(export.training)

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.both

    def compute(self, request: PriorLabRequest, progress: Progress) -> tuple[TrainingCurve, ...]:
        return tuple(training_curve(lab.name, lab.run.metrics) for lab in request.both)

    def draw(self, view: tuple[TrainingCurve, ...], request: PriorLabRequest) -> Content:
        return Content(
            figure=as_json(training_terms.figure(view, request.theme)),
            sub=", ".join(f"{curve.run}: {_length(curve)}" for curve in view),
            sentence=terms_sentence(view),
            alt="; ".join(terms_alt(curve) for curve in view),
        )


def _length(curve: TrainingCurve) -> str:
    return f"{len(curve.epochs)} epochs, {duration(curve.seconds)}"


def terms_sentence(curves: tuple[TrainingCurve, ...]) -> str:
    """Return how to read the terms of these trainings."""
    from gpvae_core.inference.gp_prior.constraint import unmet_constraint

    geco = any((curve.terms["multiplier"] > 0).any() for curve in curves)
    unmet = ""
    for curve in curves:
        parts = (curve.epochs, curve.terms["constraint"], curve.terms["multiplier"])
        if words := unmet_constraint(*(part.tolist() for part in parts)):
            unmet += f" In {curve.run}, {words}."
    return f"{TERMS_READ}{GECO_READ * geco}{unmet}"


def terms_alt(curve: TrainingCurve) -> str:
    """Return the last terms of a training in words."""
    if not len(curve.epochs):
        return f"{curve.run}: no epoch yet"
    last = {name: values[-1] for name, values in curve.terms.items() if values[-1] == values[-1]}
    return f"{curve.run}, epoch {curve.epochs[-1]:.0f}: " + ", ".join(f"{k} {v:.4g}" for k, v in last.items())


class LatentsMap(PriorLabPane):
    """The map of the latents, coloured by any column."""

    name = "prior_map"
    title = "Map of the latents"
    in_job = True
    to_csv = one_file(export.latents)

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.lab

    def compute(self, request: PriorLabRequest, progress: Progress) -> PriorMap:
        from gpvae_core.inspection.prior_lab.latent_map import latent_map

        return request.lab.results.get("map", lambda: latent_map(request.lab, progress))

    def draw(self, view: PriorMap, request: PriorLabRequest) -> Content:
        colour = request.colour if request.colour in view.colours else view.colours[0]
        unknown = f"There is no column '{request.colour}' here. " if request.colour not in ("", colour) else ""
        return Content(
            figure=as_json(prior_map.figure(view, colour, request.theme)),
            sub=request.lab.name,
            sentence=f"{unknown}Each point is the posterior mean of the latents of one of {len(view.index)} of the "
            f"{view.whole} {'test' if view.split == 'test' else 'training'} images, coloured by {colour}; {view.note}.",
            alt=f"Map of the latents of {len(view.index)} images, coloured by {colour}",
            selects=(Select("colour", "colour", tuple((c, c) for c in view.colours), colour),),
        )


PANES = TrainingTerms(), LatentsMap()
