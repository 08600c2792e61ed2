"""Errors against a setting: paths against the number of inducing points, images against points and batch size.

Jazbec et al. 2021, Fig. 1 and C.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import plotly.graph_objects as go

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.figures.base import FIGURES, RunFigure
from gpvae_core.figures.runs import RunGroup, RunOnDisk, grouped, predicted_error, spread
from gpvae_core.plots.spread_curves import Caption, Level, SpreadCurve, figure
from gpvae_core.plots.theme import Theme
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run

POINTS = "inference.points"
NUMBER_OF_POINTS = "number of inducing points m"


class _AgainstSetting(RunFigure, ABC):
    """A curve over the values of a setting for each group of runs that share all others; runs without it are lines."""

    setting: ClassVar[str]
    """Dotted key."""
    x: ClassVar[str]
    caption: ClassVar[str]
    y: ClassVar[str]

    @abstractmethod
    def error(self, run: RunOnDisk) -> float:
        """Return the error of a run. Raises UserError if it has none."""

    def draw(self, runs: Sequence[RunOnDisk], theme: Theme, progress: Progress) -> go.Figure:
        having = [run for run in runs if self._value(run) is not None]
        if not having:
            raise UserError("no run has inducing points: wanted at least one such as of method svgp:15")
        errors = {}
        for done, run in enumerate(runs, 1):
            errors[run.path] = self.error(run)
            progress(done, len(runs), "evaluating runs")
        curves = [self._curve(group, errors) for group in grouped(having, but=(self.setting,))]
        levels = []
        for group in grouped([run for run in runs if run not in having]):
            mean = spread([errors[run.path] for run in group.runs])
            levels.append(Level(f"{group.name} ({mean.runs} runs)", mean.mean, mean.sd))
        ticks = sorted({self._value(run) or 0 for run in having})
        caption = Caption(f"{self.caption}; mean ± standard deviation over seeds", self.x, self.y, "", x_ticks=ticks)
        return figure(curves, levels, caption, theme)

    def _value(self, run: RunOnDisk) -> int | None:
        return run.settings.get(self.setting)

    def _curve(self, group: RunGroup, errors: dict[object, float]) -> SpreadCurve:
        values = sorted({self._value(run) or 0 for run in group.runs})
        means = [spread([errors[run.path] for run in group.runs if self._value(run) == value]) for value in values]
        return SpreadCurve(
            name=group.name,
            x=values,
            y=[mean.mean for mean in means],
            sd=[mean.sd for mean in means],
            runs=[mean.runs for mean in means],
        )


@FIGURES.register("rmse-points")
class RmseAgainstPoints(_AgainstSetting):
    """RMSE of latent paths on new videos against the number of inducing points m; exact models as lines (Fig. 1)."""

    setting: ClassVar[str] = POINTS
    x: ClassVar[str] = NUMBER_OF_POINTS
    caption: ClassVar[str] = "latents after one affine fit to the known paths of test videos"
    y: ClassVar[str] = "RMSE of the path (its units)"

    def error(self, run: RunOnDisk) -> float:
        rmse = evaluate_conditional(load_run(run.path), k=1).path_rmse
        if rmse is None:
            raise UserError(
                f"run '{run.name}' has no known path: wanted a vector column and groups, as of moving-ball "
                "(prior.group)"
            )
        return rmse


class _ImagesAgainstSetting(_AgainstSetting, ABC):
    """The error of predicted images."""

    caption: ClassVar[str] = "mean of the latents decoded, test images"
    y: ClassVar[str] = "mean square error of a pixel (pixel²)"

    def error(self, run: RunOnDisk) -> float:
        return predicted_error(run)


@FIGURES.register("mse-points")
class MseAgainstPoints(_ImagesAgainstSetting):
    """Error of predicted images against the number of inducing points m; others as lines (Fig. C.3, right)."""

    setting: ClassVar[str] = POINTS
    x: ClassVar[str] = NUMBER_OF_POINTS


@FIGURES.register("mse-batch-size")
class MseAgainstBatchSize(_ImagesAgainstSetting):
    """Error of predicted images against the batch size (Fig. C.3, left)."""

    setting: ClassVar[str] = "train.batch_size"
    x: ClassVar[str] = "images in a batch, b"
