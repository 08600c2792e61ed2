"""The error of predictions against the time of training (Jazbec et al. 2021, Fig. 6 and 7)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import plotly.graph_objects as go

from gpvae_core.figures.base import FIGURES, RunFigure
from gpvae_core.figures.runs import RunGroup, RunOnDisk, Spread, grouped, predicted_error, spread
from gpvae_core.plots.spread_curves import Caption, SpreadCurve, figure
from gpvae_core.plots.theme import Theme
from gpvae_core.progress import Progress


@dataclass(frozen=True)
class TimedGroup:
    """Runs that share all settings but the seed, with their error and their time."""

    group: RunGroup
    seconds: Spread
    mse: Spread


class _ErrorAgainstTime(RunFigure, ABC):
    """A mark for each group of runs; those of one method are joined by a line."""

    label: ClassVar[str]
    """What the time is of, with its unit."""

    @staticmethod
    @abstractmethod
    def seconds(run: RunOnDisk) -> float:
        """Return the time of a run."""

    def draw(self, runs: Sequence[RunOnDisk], theme: Theme, progress: Progress) -> go.Figure:
        errors = {}
        for done, run in enumerate(runs, 1):
            errors[run.path] = predicted_error(run)
            progress(done, len(runs), "evaluating runs")
        timed = [
            TimedGroup(
                group, spread([self.seconds(run) for run in group.runs]), spread([errors[r.path] for r in group.runs])
            )
            for group in grouped(runs)
        ]
        families = dict.fromkeys(one.group.runs[0].family for one in timed)
        caption = Caption(
            "mean of the latents decoded, test images; mean ± standard deviation over seeds",
            self.label,
            "mean square error of a pixel (pixel²)",
            "pixel²",
        )
        curves = [_curve(name, [one for one in timed if one.group.runs[0].family == name]) for name in families]
        return figure(curves, [], caption, theme)


def _label(group: RunGroup) -> str:
    """Return what tells a group from others of its method: 'm = 32', and the settings that differ."""
    run = group.runs[0]
    differs = group.name.removeprefix(run.config.method).lstrip(", ")
    return ", ".join(part for part in ("" if run.points is None else f"m = {run.points}", differs) if part)


def _curve(name: str, members: Sequence[TimedGroup]) -> SpreadCurve:
    ordered = sorted(members, key=lambda one: one.seconds.mean)
    return SpreadCurve(
        name=name,
        x=[one.seconds.mean for one in ordered],
        y=[one.mse.mean for one in ordered],
        sd=[one.mse.sd for one in ordered],
        runs=[one.mse.runs for one in ordered],
        x_sd=[one.seconds.sd for one in ordered],
        labels=[_label(one.group) for one in ordered],
    )


@FIGURES.register("mse-time")
class ErrorAgainstEpochTime(_ErrorAgainstTime):
    """Test square error against seconds an epoch, a mark for each method, m and number of digits (Fig. 6, 7)."""

    label: ClassVar[str] = "seconds an epoch (training passes alone)"

    @staticmethod
    def seconds(run: RunOnDisk) -> float:
        return run.seconds / run.metrics[-1]["epoch"]


@FIGURES.register("mse-total-time")
class ErrorAgainstTotalTime(_ErrorAgainstTime):
    """Test square error against seconds of the whole training, a mark for each method, m and number of digits."""

    label: ClassVar[str] = "seconds of training (training passes alone)"

    @staticmethod
    def seconds(run: RunOnDisk) -> float:
        return run.seconds
