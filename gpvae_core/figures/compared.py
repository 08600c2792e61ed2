"""Runs on the same data compared on a page, by the numbers of its lab and in the form of the figures of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.data.moving_ball import true_length_scale
from gpvae_core.figures.error_setting import BATCH_SIZE, PIXELS, POINTS, ComparedSetting, against_setting
from gpvae_core.figures.length_scale import unit_of_scales
from gpvae_core.figures.mse_time import AN_EPOCH, TOTAL, against_time
from gpvae_core.figures.runs import RunOnDisk, run_at
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.scores import run_scores
from gpvae_core.inspection.prior_lab.views import RunScore
from gpvae_core.plots.spread_curves import Level, SpreadPanel, SpreadView
from gpvae_core.progress import Progress

PATH = "path RMSE (units of the path)"
EPOCHS = "train.epochs"


@dataclass(frozen=True)
class ComparedRuns:
    """Runs on the same data with their scores; the first one is shown."""

    runs: tuple[RunOnDisk, ...]
    scores: Mapping[Path, RunScore]
    """Of each run, by its folder."""

    @property
    def shown(self) -> Path:
        """Folder of the run that is shown."""
        return self.runs[0].path

    def values(self, of: Callable[[RunScore], float | None]) -> dict[Path, float]:
        """Return a number of each run that has it."""
        found = {path: of(score) for path, score in self.scores.items()}
        return {path: value for path, value in found.items() if value is not None}


def compared_runs(labs: Sequence[ConditionalLab], progress: Progress) -> ComparedRuns:
    """Return the runs of these labs with their scores; the first is the one that is shown."""
    found = [run_at(lab.run.dir) for lab in labs]
    pairs = [(run, lab) for run, lab in zip(found, labs, strict=True) if run is not None]
    scores = run_scores([lab for _, lab in pairs], progress)
    runs = tuple(run for run, _ in pairs)
    return ComparedRuns(runs, {run.path: score for run, score in zip(runs, scores, strict=True)})


def time_view(compared: ComparedRuns, error: str, time: str) -> SpreadView:
    """Return the errors of runs against their time of training (Fig. 6 and 7).

    Args:
        error, time: keys of `views.ERRORS` and `views.TIMES`.
    """
    errors = compared.values(lambda score: score.error(error))
    runs = [run for run in compared.runs if run.path in errors and run.seconds > 0]
    seconds = {run.path: run.seconds if time == "total" else run.seconds_per_epoch for run in runs}
    panel = SpreadPanel(against_time(runs, errors, seconds, compared.shown), [], _axis(error))
    return SpreadView([panel], TOTAL if time == "total" else AN_EPOCH, "errors against time", log_x=True)


def _axis(error: str) -> str:
    return PIXELS if error == "mse" else PATH


def points_view(compared: ComparedRuns) -> SpreadView | None:
    """Return error, length scale and time of runs against their number of inducing points m (Fig. 1, 3 and C.3).

    Runs without inducing points are levels of the error. None where there are no two m.
    """
    if len(ticks := POINTS.ticks(compared.runs)) < 2:
        return None
    having = [run for run in compared.runs if POINTS.of(run) is not None]
    scores = compared.scores.values()
    error = "path" if all(score.path_rmse is not None for score in scores) else "mse"
    panels = [_panel(compared, compared.runs, POINTS, _axis(error), compared.values(lambda s: s.error(error)))]
    scales = compared.values(lambda score: score.length_scale)
    if scaled := [run for run in having if run.path in scales]:
        panel = _panel(compared, scaled, POINTS, f"length scale{unit_of_scales(scaled)}", scales)
        true = true_length_scale(having[0].config.data.name)
        levels = [] if true is None else [Level(f"true length scale, {true:g}", true)]
        panels.append(SpreadPanel(panel.curves, levels, panel.y))
    panels.append(
        _panel(compared, having, POINTS, "seconds an epoch", {run.path: run.seconds_per_epoch for run in having})
    )
    return SpreadView(panels, POINTS.axis, "number of inducing points", x_ticks=ticks)


def batch_size_view(compared: ComparedRuns) -> SpreadView | None:
    """Return the errors of images of runs against their batch size (Fig. C.3); None where there are no two sizes."""
    if len(ticks := BATCH_SIZE.ticks(compared.runs)) < 2:
        return None
    panel = _panel(compared, compared.runs, BATCH_SIZE, PIXELS, compared.values(lambda score: score.mse))
    return SpreadView([panel], BATCH_SIZE.axis, "batch size", x_ticks=ticks)


def _panel(
    compared: ComparedRuns, runs: Sequence[RunOnDisk], setting: ComparedSetting, y: str, values: Mapping[Path, float]
) -> SpreadPanel:
    """Return a panel over a setting; runs of one curve may differ in their number of epochs, as those of a page do."""
    return SpreadPanel(*against_setting(runs, values, setting, compared.shown, but=(EPOCHS,)), y)
