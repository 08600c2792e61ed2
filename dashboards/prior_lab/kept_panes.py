"""The panes of the GP-Prior Lab about the weights that runs kept over their training."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, ClassVar

from dashboards.lab.asked import AskedPane
from dashboards.lab.pane import one_file
from dashboards.prior_lab.compared_panes import commands, compared
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.plots import point_paths
from gpvae_core.plots.point_paths import PointPathsView
from gpvae_core.plots.spread_curves import ON_CARD, SpreadView, figure
from gpvae_core.progress import Progress

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.figures.runs import RunOnDisk
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab

MOST_RUNS = 4
"""Runs whose inducing points are drawn, that shown first."""
KEPT = 20
"""Epochs of which a command keeps the weights, about."""
STARTS = ("low", "middle", "high")
"""The three starts of Fig. 4."""


def every(request: PriorLabRequest) -> int:
    """Return every how many epochs a run like the one shown is to keep its weights."""
    return max(1, request.lab.run.config.train.epochs // KEPT)


def on_disk(labs: list[ConditionalLab]) -> list[RunOnDisk]:
    """Return the runs of these labs as figures take them."""
    from gpvae_core.figures.runs import run_at

    return [run for run in (run_at(lab.run.dir) for lab in labs) if run is not None]


def weights(request: PriorLabRequest) -> Hashable:
    """Return a value that changes when the runs on the data, or their weights, do."""
    library = request.labs.library
    return tuple((name, library.weights(name)) for name in (request.lab.name, *request.mates))


class PointsOverTraining(PriorLabPane):
    """The positions of inducing points over the epochs whose weights were kept."""

    name = "prior_paths"
    title = "Inducing points over training"
    in_job = True
    to_csv = one_file(export.point_paths)

    def shown(self, request: PriorLabRequest) -> bool:
        return "points" in request.lab.run.config.inference.model_dump() and request.lab.number is not None

    def key(self, request: PriorLabRequest) -> Hashable:
        return weights(request)

    def compute(self, request: PriorLabRequest, progress: Progress) -> PointPathsView | None:
        from gpvae_core.figures.inducing_points import LEAST_EPOCHS, InducingPointsOverTraining

        runs = on_disk([lab for lab in compared(request) if lab.number == request.lab.number])
        kept = [run for run in runs if run.points is not None and len(run.kept_epochs) >= LEAST_EPOCHS][:MOST_RUNS]
        return InducingPointsOverTraining().view(kept, progress) if kept else None

    def draw(self, view: PointPathsView | None, request: PriorLabRequest) -> Content:
        if view is None:
            changes = [{"inference.points_start": s, "train.keep_every": every(request)} for s in STARTS]
            return Content(message=NO_PATHS, commands=commands(request, *changes))
        titles = ", ".join(run.name for run in view.runs)
        return Content(
            figure=as_json(point_paths.figure(view, request.theme, most_columns=2, least_columns=2)),
            sub=titles if len(view.runs) == 1 else f"{len(view.runs)} runs",
            sentence=f"Where each inducing point lies along {view.column}, after each epoch whose weights were kept. "
            "Dotted: first and last training image. Points that are learned spread over what there is.",
            alt="; ".join(
                f"{run.name}: {run.positions.shape[1]} points, from {run.positions[0].min():.3g} to "
                f"{run.positions[0].max():.3g} after epoch {run.epochs[0]}, from {run.positions[-1].min():.3g} to "
                f"{run.positions[-1].max():.3g} after epoch {run.epochs[-1]}"
                for run in view.runs
            ),
        )


class BatchesOverTraining(PriorLabPane, AskedPane[PriorLabRequest]):
    """How far mini-batches move the posteriors over the epochs whose weights were kept."""

    name = "prior_drift"
    title = "Movement with mini-batches"
    help = "KL(q_b(z) || q(z)) of posteriors from mini-batches (eq. 9) to those from all images, in nats"
    to_csv: ClassVar = one_file(lambda view: _table(view))

    def shown(self, request: PriorLabRequest) -> bool:
        return not request.lab.group

    def of(self, request: PriorLabRequest) -> Hashable:
        return weights(request)

    def _runs(self, request: PriorLabRequest) -> list[RunOnDisk]:
        from gpvae_core.evaluation.batch_bias import takes_batches

        return [run for run in on_disk([lab for lab in compared(request) if takes_batches(lab.run)]) if run.kept_epochs]

    def lacking(self, request: PriorLabRequest) -> Content | None:
        from gpvae_core.evaluation.batch_bias import takes_batches

        if self._runs(request):
            return None
        if not takes_batches(request.lab.run):
            return Content(message=NO_BATCHES.format(run=request.lab.name, method=request.lab.run.config.method))
        return Content(message=NO_DRIFT, commands=commands(request, {"train.keep_every": every(request)}))

    def offered(self, request: PriorLabRequest) -> str:
        runs = self._runs(request)
        epochs = sum(len(run.kept_epochs) for run in runs)
        return OFFERED.format(
            epochs=f"{epochs} epoch{'s' * (epochs != 1)}", runs=f"{len(runs)} run{'s' * (len(runs) != 1)}"
        )

    def compute(self, request: PriorLabRequest, progress: Progress) -> SpreadView:
        from gpvae_core.figures.batch_bias import BatchBiasOverTraining

        return BatchBiasOverTraining().view(self._runs(request), progress)

    def draw(self, view: SpreadView, request: PriorLabRequest) -> Content:
        curves = view.panels[0].curves
        count = sum(max(curve.runs) for curve in curves)
        return Content(
            figure=as_json(figure(view, request.theme, ON_CARD)),
            sub=f"{count} run{'s' * (count != 1)} with kept weights",
            sentence=f"{view.title[0].upper()}{view.title[1:]}. At 0 a posterior from a mini-batch would be that from "
            "all images; what is left is noise of the batches and the bias of eq. 9.",
            alt="; ".join(
                f"{curve.name}: {curve.y[0]:.3g} nats after epoch {curve.x[0]}, {curve.y[-1]:.3g} after {curve.x[-1]}"
                for curve in curves
            ),
        )


def _table(view: SpreadView) -> str:
    from gpvae_core.figures.base import spread_table

    return spread_table(view)


NO_PATHS = (
    "No run on these data with inducing points kept its weights over training. These commands train three from the "
    "three starts of Fig. 4:"
)
NO_DRIFT = "No run of svgp on these data kept its weights over training. This command trains one:"
NO_BATCHES = (
    "{run} takes no mini-batches of one function as eq. 9 has it (its method is {method}): a run of svgp without "
    "groups does, trained with --set train.keep_every=N"
)
OFFERED = (
    "How far the posterior of a training image moves with the mini-batch that it is in, over training (C.4): for "
    "{epochs} of {runs}, some seconds each."
)
PANES = PointsOverTraining(), BatchesOverTraining()
