"""The positions of inducing points over training (Jazbec et al. 2021, Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from gpvae_core.data.auxiliary import Column
from gpvae_core.errors import UserError
from gpvae_core.figures.base import FIGURES, RunFigure
from gpvae_core.figures.runs import RunOnDisk, grouped
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inspection.prior_lab.export import point_paths
from gpvae_core.plots.point_paths import PointPaths, PointPathsView, figure
from gpvae_core.plots.theme import Theme
from gpvae_core.progress import Progress
from gpvae_core.run_files import EPOCHS, read_snapshot
from gpvae_core.runs import Run, load_run

POINTS = "extra.family.inducing.inputs"
"""Name of the inducing points among a run's weights."""
LEAST_EPOCHS = 2


@FIGURES.register("inducing-points")
class InducingPointsOverTraining(RunFigure[PointPathsView]):
    """Positions of the inducing points over the kept epochs, several runs side by side, as of three starts (Fig. 4)."""

    def lacking(self, run: RunOnDisk) -> str:
        if run.points is None:
            return f"run '{run.name}' has no inducing points: wanted a method such as svgp:15"
        if len(run.kept_epochs) < LEAST_EPOCHS:
            return (
                f"run '{run.name}' kept the weights of {len(run.kept_epochs)} epochs, of which the figure wants "
                f"{LEAST_EPOCHS} or more: train it with --set train.keep_every=N"
            )
        return ""

    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> PointPathsView:
        paths, labels, titles = [], [], _titles(runs)
        for done, run in enumerate(runs, 1):
            path, label = _paths(run, titles[run.path])
            paths.append(path)
            labels.append(label)
            progress(done, len(runs), "reading kept weights")
        if len(set(labels)) > 1:
            raise UserError(f"wanted runs whose points lie along one column, got {' and '.join(sorted(set(labels)))}")
        return PointPathsView(paths, labels[0])

    def drawn(self, view: PointPathsView, theme: Theme) -> go.Figure:
        return figure(view, theme)

    def table(self, view: PointPathsView) -> str:
        return point_paths(view)


def _titles(runs: Sequence[RunOnDisk]) -> dict[Path, str]:
    """Return the title of each run: its method with what differs, as the points' start, and its seed if that does."""
    return {
        run.path: group.name if len(group.runs) == 1 else f"{group.name}, seed {run.config.seed}"
        for group in grouped(runs)
        for run in group.runs
    }


def _paths(run: RunOnDisk, title: str) -> tuple[PointPaths, str]:
    """Return the positions of a run's points, along its kernel's first column of numbers, and that column's name.

    Raises:
        UserError: the run has no such column.
    """
    epochs, loaded = run.kept_epochs, load_run(run.path)
    column, feature = _first_number(loaded)
    found = [read_snapshot(run.path / EPOCHS / str(epoch), "weights") for epoch in epochs]
    positions = np.stack([weights[POINTS][:, feature].numpy() for weights in found])
    auxiliary = loaded.data.train.auxiliary
    assert auxiliary is not None  # a run with a GP prior was trained on columns
    ends = auxiliary[column.name]
    name = f"{title}{' (partial)' if run.partial else ''}"
    unit = f" ({column.unit})" if column.unit else ""
    return PointPaths(name, epochs, positions, float(ends.min()), float(ends.max())), f"{column.name}{unit}"


def _first_number(run: Run) -> tuple[Column, int]:
    """Return the first column of numbers that the kernel takes, and its feature."""
    model = run.model.extra
    assert isinstance(model, GPModel)
    for column in run.meta.columns:
        if column.role == "number" and column.name in model.prior.inputs.features:
            return column, model.prior.inputs.features[column.name].start
    raise UserError(f"run '{run.name}' has no column of numbers in its kernel, along which its points could be drawn")
