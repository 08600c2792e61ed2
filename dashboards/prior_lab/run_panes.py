"""The panes of the GP-Prior Lab about runs as a whole: the terms of their training."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.training_curves import training_curve
from gpvae_core.inspection.prior_lab.views import PriorMap, RunScore, TrainingCurve
from gpvae_core.plots import prior_map, training_terms
from gpvae_core.plots.prior_scores import ERRORS, against_points, against_time, error_of
from gpvae_core.progress import Progress, duration

if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab

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
    geco = any((curve.terms["multiplier"] > 0).any() for curve in curves)
    return TERMS_READ + GECO_READ * geco


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


class ErrorAgainstTime(PriorLabPane):
    """The error of all runs on the data against the time of their training."""

    name = "prior_scores"
    title = "Error against time"
    in_job = True
    to_csv = one_file(export.scores)

    def key(self, request: PriorLabRequest) -> Hashable:
        return runs_compared(request)

    def compute(self, request: PriorLabRequest, progress: Progress) -> tuple[RunScore, ...]:
        from gpvae_core.inspection.prior_lab.scores import run_scores

        return run_scores(compared(request), progress)

    def draw(self, view: tuple[RunScore, ...], request: PriorLabRequest) -> Content:
        error = request.error if request.error == "mse" or view[0].path_rmse is not None else "mse"
        known = tuple((key, NAMES[key]) for key in ERRORS if error_of(view[0], key) is not None)
        times = (("total", "in all"), ("epoch", "an epoch"))
        shown = tuple(score for score in view if error_of(score, error) is not None and score.seconds > 0)
        return Content(
            figure=as_json(against_time(shown, error, request.time, request.lab.name, request.theme)),
            sub=f"{len(shown)} run{'s' * (len(shown) != 1)} on these data",
            sentence=f"Down and left is better. Error: of {view[0].images} test images, decoded from the means of "
            "their latents; time: of the training passes, on the machine where the run was trained. The run "
            "that is shown is outlined.",
            alt="; ".join(_score_words(score) for score in shown),
            selects=(Select("error", "error", known, error), Select("time", "time", times, request.time)),
        )


class AgainstPoints(PriorLabPane):
    """Error, length scale and time of runs that differ in the number of inducing points alone."""

    name = "prior_points"
    title = "Number of inducing points"
    in_job = True
    to_csv = one_file(export.scores)

    def key(self, request: PriorLabRequest) -> Hashable:
        return runs_compared(request)

    def shown(self, request: PriorLabRequest) -> bool:
        return "points" in request.lab.run.config.inference.model_dump()

    def compute(self, request: PriorLabRequest, progress: Progress) -> tuple[RunScore, ...]:
        from gpvae_core.inspection.prior_lab.scores import run_scores, series_of_points

        return series_of_points(run_scores(compared(request), progress), request.lab.name)

    def draw(self, view: tuple[RunScore, ...], request: PriorLabRequest) -> Content:
        if not view:
            return Content(message=NO_SERIES.format(name=request.lab.name))
        from gpvae_core.data.moving_ball import true_length_scale

        learned = "The length scale was learned." if view[0].learned else "The length scale was fixed."
        true = true_length_scale(request.lab.run.config.data.name)
        dotted = f" Dotted: that by which the data were generated, {true:g}." if true is not None else ""
        return Content(
            figure=as_json(against_points(view, true, request.lab.name, request.theme)),
            sub=f"{len(view)} runs like {request.lab.name}",
            sentence=f"Runs with the same settings but m and the number of epochs. {learned}{dotted}",
            alt="; ".join(f"m = {score.points}: {_score_words(score)}" for score in view),
        )


NAMES = {"mse": "MSE", "path": "path RMSE"}
NO_SERIES = (
    "No other run here differs from '{name}' in the number of inducing points m alone. 'Train another' above trains "
    "one with another m."
)


def runs_compared(request: PriorLabRequest) -> Hashable:
    """Return a value that changes when the runs that are compared, or their weights, do."""
    library = request.labs.library
    return tuple((name, library.weights(name)) for name in (request.lab.name, *request.mates))


def compared(request: PriorLabRequest) -> list[ConditionalLab]:
    """Return the run shown and the others on the same data; one that cannot be loaded is left out."""
    labs = [request.lab]
    for name in request.mates:
        try:
            other = request.labs.lab(name)
        except UserError:
            continue
        if other.run.meta.data_fingerprint == request.lab.run.meta.data_fingerprint:
            labs.append(other)
    return labs


def _score_words(score: RunScore) -> str:
    path = "" if score.path_rmse is None else f", path RMSE {score.path_rmse:.3f}"
    return f"{score.run}: MSE {score.mse:.4f}{path}, {score.seconds:.0f} s for {score.epochs} epochs"


PANES = TrainingTerms(), LatentsMap(), ErrorAgainstTime(), AgainstPoints()
