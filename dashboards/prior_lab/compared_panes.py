"""The panes of the GP-Prior Lab about all runs on the same data: errors, times, and the settings behind them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import ERRORS, TIMES, RunScore
from gpvae_core.plots.spread_curves import ON_CARD, SpreadView, figure
from gpvae_core.progress import Progress

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.figures.compared import ComparedRuns
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab

GROUPS = "Runs that differ in their seed alone are one mark: mean ± standard deviation. The run shown is outlined."


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


class ComparedPane(PriorLabPane):
    """One card about all runs on the data."""

    in_job = True
    to_csv = one_file(lambda view: export.scores(tuple(view.scores.values())))

    def key(self, request: PriorLabRequest) -> Hashable:
        library = request.labs.library
        return tuple((name, library.weights(name)) for name in (request.lab.name, *request.mates))

    def compute(self, request: PriorLabRequest, progress: Progress) -> ComparedRuns:
        from gpvae_core.figures.compared import compared_runs

        return compared_runs(compared(request), progress)


class ErrorAgainstTime(ComparedPane):
    """The error of all runs on the data against the time of their training."""

    name = "prior_scores"
    title = "Error against time"

    def draw(self, view: ComparedRuns, request: PriorLabRequest) -> Content:
        from gpvae_core.figures.compared import time_view

        scores = tuple(view.scores.values())
        known = tuple((key, name) for key, name in ERRORS.items() if scores[0].error(key) is not None)
        error = request.error if request.error in dict(known) else "mse"
        counted = sum(score.error(error) is not None for score in scores)
        return Content(
            figure=as_json(figure(time_view(view, error, request.time), request.theme, ON_CARD)),
            sub=f"{counted} run{'s' * (counted != 1)} on these data",
            sentence=f"Down and left is better. Error: of {scores[0].images} test images, decoded from the means of "
            f"their latents; time: of the training passes, on the machine where the run was trained. {GROUPS}"
            f"{_not_alike(view)}",
            alt="; ".join(map(score_words, scores)),
            selects=(
                Select("error", "error", known, error),
                Select("time", "time", tuple(TIMES.items()), request.time),
            ),
        )


class AgainstPoints(ComparedPane):
    """Error, length scale and time of runs against their number of inducing points."""

    name = "prior_points"
    title = "Number of inducing points"

    def shown(self, request: PriorLabRequest) -> bool:
        return "points" in request.lab.run.config.inference.model_dump()

    def draw(self, view: ComparedRuns, request: PriorLabRequest) -> Content:
        from gpvae_core.figures.compared import points_view

        own = int(request.lab.run.config.inference.model_dump()["points"])
        family = request.lab.run.config.method.partition(":")[0]
        others = [f"{family}:{m}" for m in dict.fromkeys((max(1, own // 2), 2 * own)) if m != own]
        kernel, drawn = request.lab.run.config.prior.model_dump().get("kernel", ""), points_view(view)
        learned = [{"prior.kernel": of} for of in [FIXED.sub(LEARNED, kernel)] if of != kernel]
        if drawn is None:
            return Content(message=NO_POINTS, commands=commands(request, *others))
        return Content(
            figure=as_json(figure(drawn, request.theme, ON_CARD)),
            sub=_drawn_words(drawn),
            sentence=f"Runs with inducing points over their number m; lines across: runs without. {GROUPS}"
            f"{FIXED_WORDS * bool(learned)}",
            commands=commands(request, *learned),
            alt="; ".join(f"m = {s.points}: {score_words(s)}" for s in view.scores.values() if s.points is not None),
        )


class AgainstBatchSize(ComparedPane):
    """Error of runs against their batch size."""

    name = "prior_batches"
    title = "Batch size"

    def shown(self, request: PriorLabRequest) -> bool:
        # With groups a batch is of whole ones, and its size says nothing of how posteriors are estimated.
        return not request.lab.group

    def draw(self, view: ComparedRuns, request: PriorLabRequest) -> Content:
        from gpvae_core.figures.compared import batch_size_view

        own = request.lab.run.config.train.batch_size
        drawn = batch_size_view(view)
        if drawn is None:
            sizes = [{"train.batch_size": size} for size in (max(1, own // 2), 2 * own)]
            return Content(message=NO_SIZES, commands=commands(request, *sizes))
        return Content(
            figure=as_json(figure(drawn, request.theme, ON_CARD)),
            sub=_drawn_words(drawn),
            sentence=f"Mean square error of test images over the number of images in a batch of the training. {GROUPS}",
            alt="; ".join(
                f"{curve.name}: " + ", ".join(f"MSE {y:.4f} at b = {x}" for x, y in zip(curve.x, curve.y, strict=True))
                for curve in drawn.panels[0].curves
            ),
        )


FIXED, LEARNED = re.compile(r"((?:rbf|matern)\([^()]*)learn=false"), r"\1learn=length_scale"
"""A kernel of distances of which nothing is learned, and what takes its place to learn the length scale."""
FIXED_WORDS = " The length scale of this run's kernel is fixed: this command trains one that learns it."
NO_POINTS = "No run on these data has another number of inducing points m. These commands train such runs:"
NO_SIZES = "No run on these data has another batch size. These commands train such runs:"


def commands(request: PriorLabRequest, *changes: Any) -> tuple[str, ...]:
    """Return the commands that train runs like the one shown with another method, or other settings.

    Args:
        changes: of each, the method, or settings by their dotted keys.
    """
    from gpvae_core.figures.commands import train_command

    run, root, lines = request.lab.run, request.labs.library.root, []
    for change in changes:
        method, settings = (change, {}) if isinstance(change, str) else ("", change)
        last = [method.replace(":", "")] if method else [_named(key, value) for key, value in settings.items()]
        out = Path(root) / "-".join([request.lab.name, *last]).replace("/", "-")
        lines.append(train_command(run.config, run.model.event_shape, out, method, settings))
    return tuple(lines)


def _not_alike(view: ComparedRuns) -> str:
    """Return that runs are given different images; '' where all are given alike."""
    groups = {run.settings.get("prior.group", "") for run in view.runs}
    if len(groups) < 2 or "" not in groups:
        return ""
    name = next(filter(None, groups))
    return f" Runs given their own {name} may be given the scored images themselves, which the others never are."


def _named(key: str, value: Any) -> str:
    """Return a setting as a part of a folder's name: with its value, unless that is an expression."""
    name = key.rpartition(".")[2]
    return f"{name}-{value}" if re.fullmatch(r"[\w.+-]+", str(value)) else name


def _drawn_words(view: SpreadView) -> str:
    """Return how many runs a figure is of."""
    count = sum(sum(curve.runs) for curve in view.panels[0].curves)
    return f"{count} run{'s' * (count != 1)}"


def score_words(score: RunScore) -> str:
    """Return a run's errors and its time in words."""
    path = "" if score.path_rmse is None else f", path RMSE {score.path_rmse:.3f}"
    return f"{score.run}: MSE {score.mse:.4f}{path}, {score.seconds:.0f} s for {score.epochs} epochs"


PANES = ErrorAgainstTime(), AgainstPoints(), AgainstBatchSize()
