"""The panes of the GP-Prior Lab about runs as a whole: the terms of their training."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.training_curves import training_curve
from gpvae_core.inspection.prior_lab.views import TrainingCurve
from gpvae_core.plots import training_terms
from gpvae_core.progress import Progress, duration

TERMS_READ = (
    "E log p(y|z) of the training images and, taken from it, the KL term of the GP prior: their difference is the "
    "bound. Validation score: log predictive bound of held-out images."
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
    geco = any((curve.terms["multiplier"] > 0).any() for curve in curves)
    return TERMS_READ + GECO_READ * geco


def terms_alt(curve: TrainingCurve) -> str:
    """Return the last terms of a training in words."""
    if not len(curve.epochs):
        return f"{curve.run}: no epoch yet"
    last = {name: values[-1] for name, values in curve.terms.items() if values[-1] == values[-1]}
    return f"{curve.run}, epoch {curve.epochs[-1]:.0f}: " + ", ".join(f"{k} {v:.4g}" for k, v in last.items())


PANES = (TrainingTerms(),)
