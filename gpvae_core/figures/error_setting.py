"""Errors against a setting: paths against the number of inducing points, images against points and batch size.

Jazbec et al. 2021, Fig. 1 and C.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.figures.base import FIGURES, SpreadFigure
from gpvae_core.figures.runs import RunGroup, RunOnDisk, alone, grouped, predicted_error, spread
from gpvae_core.plots.spread_curves import Level, SpreadCurve, SpreadPanel, SpreadView
from gpvae_core.progress import Progress
from gpvae_core.run_files import read_record
from gpvae_core.run_records import RunMetadata
from gpvae_core.runs import load_run


@dataclass(frozen=True)
class ComparedSetting:
    """A setting in which runs differ."""

    key: str
    """Its dotted key."""
    axis: str
    """What stands at the axis of its values."""

    def of(self, run: RunOnDisk) -> int | None:
        """Return a run's value; None for a run that has no such setting."""
        return run.settings.get(self.key)

    def ticks(self, runs: Sequence[RunOnDisk]) -> list[int]:
        """Return the values of these runs, each once, in ascending order."""
        return sorted({value for run in runs if (value := self.of(run)) is not None})


POINTS = ComparedSetting("inference.points", "number of inducing points m")
BATCH_SIZE = ComparedSetting("train.batch_size", "images in a batch, b")
PIXELS = "mean square error of a pixel (pixel²)"


def against_setting(
    runs: Sequence[RunOnDisk],
    values: Mapping[Path, float],
    setting: ComparedSetting,
    shown: Path | None = None,
    but: Collection[str] = (),
) -> tuple[list[SpreadCurve], list[Level]]:
    """Return a curve over the setting for each group of runs that share all others; runs without it are levels.

    Args:
        values: what is drawn of each run, by its folder; a run without a value is left out.
        shown: folder of the run whose mark has a ring.
        but: dotted keys of further settings in which runs of a curve may differ.
    """
    runs = [run for run in runs if run.path in values]
    having = [run for run in runs if setting.of(run) is not None]
    curves = [_curve(group, values, setting, shown) for group in grouped(having, but=(setting.key, *but))]
    levels = []
    for group in grouped([run for run in runs if run not in having], but=but):
        mean = spread([values[run.path] for run in group.runs])
        levels.append(Level(f"{group.name} ({mean.runs} run{'s' * (mean.runs != 1)})", mean.mean, mean.sd))
    return curves, levels


def _curve(group: RunGroup, values: Mapping[Path, float], setting: ComparedSetting, shown: Path | None) -> SpreadCurve:
    at = [[run for run in group.runs if setting.of(run) == value] for value in setting.ticks(group.runs)]
    means = [spread([values[run.path] for run in members]) for members in at]
    return SpreadCurve(
        name=group.name,
        x=setting.ticks(group.runs),
        y=[mean.mean for mean in means],
        sd=[mean.sd for mean in means],
        runs=[mean.runs for mean in means],
        of=[", ".join(run.name for run in members) for members in at],
        ringed=[any(run.path == shown for run in members) for members in at],
    )


class _AgainstSetting(SpreadFigure, ABC):
    """The errors of runs over the values of a setting."""

    setting: ClassVar[ComparedSetting]
    caption: ClassVar[str]
    y: ClassVar[str]

    def lacking(self, run: RunOnDisk) -> str:
        return alone(run)

    @abstractmethod
    def error(self, run: RunOnDisk) -> float:
        """Return the error of a run. Raises UserError if it is not a number."""

    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> SpreadView:
        ticks = self.setting.ticks(runs)
        if not ticks:
            raise UserError("no run has inducing points: wanted at least one such as of method svgp:15")
        errors = {}
        for done, run in enumerate(runs, 1):
            errors[run.path] = self.error(run)
            progress(done, len(runs), "evaluating runs")
        panel = SpreadPanel(*against_setting(runs, errors, self.setting), self.y)
        title = f"{self.caption}; mean ± standard deviation over seeds"
        return SpreadView([panel], self.setting.axis, title, x_ticks=ticks)


@FIGURES.register("rmse-points")
class RmseAgainstPoints(_AgainstSetting):
    """RMSE of latent paths on new videos against the number of inducing points m; exact models as lines (Fig. 1)."""

    setting: ClassVar[ComparedSetting] = POINTS
    caption: ClassVar[str] = "latents after one affine fit to the known paths of test videos"
    y: ClassVar[str] = "RMSE of the path (units of the known path)"

    def lacking(self, run: RunOnDisk) -> str:
        columns = read_record(run.path / "meta.json", RunMetadata).columns
        if run.settings.get("prior.group") and any(column.role == "vector" for column in columns):
            return ""
        return f"run '{run.name}' has no known path: wanted a vector column and groups, as of moving-ball (prior.group)"

    def error(self, run: RunOnDisk) -> float:
        rmse = evaluate_conditional(load_run(run.path), k=1).path_rmse
        assert rmse is not None  # it has a known path
        return rmse


class _ImagesAgainstSetting(_AgainstSetting, ABC):
    """The error of predicted images."""

    caption: ClassVar[str] = "mean of the latents decoded, test images"
    y: ClassVar[str] = PIXELS

    def error(self, run: RunOnDisk) -> float:
        return predicted_error(run)


@FIGURES.register("mse-points")
class MseAgainstPoints(_ImagesAgainstSetting):
    """Error of predicted images against the number of inducing points m; others as lines (Fig. C.3, right)."""

    setting: ClassVar[ComparedSetting] = POINTS


@FIGURES.register("mse-batch-size")
class MseAgainstBatchSize(_ImagesAgainstSetting):
    """Error of predicted images against the batch size (Fig. C.3, left)."""

    setting: ClassVar[ComparedSetting] = BATCH_SIZE
