"""The error of predictions against the time of training (Jazbec et al. 2021, Fig. 6 and 7)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpvae_core.figures.base import FIGURES, SpreadFigure
from gpvae_core.figures.error_setting import PIXELS
from gpvae_core.figures.runs import RunGroup, RunOnDisk, Spread, alone, grouped, predicted_error, spread
from gpvae_core.plots.spread_curves import SpreadCurve, SpreadPanel, SpreadView
from gpvae_core.progress import Progress

JOINED = ("inference.points", "data.name")
"""Settings in which the runs of a curve may differ: m, and the data set, as the digits of rotated MNIST."""
TOTAL, AN_EPOCH = "seconds of training (training passes alone)", "seconds an epoch (training passes alone)"


@dataclass(frozen=True)
class TimedGroup:
    """Runs that share all settings but the seed, with their error and their time."""

    group: RunGroup
    seconds: Spread
    error: Spread


def against_time(
    runs: Sequence[RunOnDisk], errors: Mapping[Path, float], seconds: Mapping[Path, float], shown: Path | None = None
) -> list[SpreadCurve]:
    """Return a mark for each group of runs that share all settings but the seed, joined where only m or data differ.

    Args:
        errors, seconds: of each run, by its folder.
        shown: folder of the run whose mark has a ring.
    """

    def timed(group: RunGroup) -> TimedGroup:
        times, of = (spread([values[run.path] for run in group.runs]) for values in (seconds, errors))
        return TimedGroup(group, times, of)

    curves = grouped(runs, but=JOINED)
    return [_curve(curve.name, [timed(group) for group in grouped(curve.runs)], shown) for curve in curves]


def _curve(name: str, members: Sequence[TimedGroup], shown: Path | None) -> SpreadCurve:
    """Return a curve whose marks are labelled by m and data set; what all have alike stands in the legend instead."""
    ordered = sorted(members, key=lambda one: one.seconds.mean)
    first = [one.group.runs[0] for one in ordered]
    points = ["" if run.points is None else f"m = {run.points}" for run in first]
    parts = [column for column in (points, [run.config.data.name for run in first]) if len(set(column)) > 1]
    return SpreadCurve(
        name=f"{name}, {points[0]}" if points[0] and points not in parts else name,
        x=[one.seconds.mean for one in ordered],
        y=[one.error.mean for one in ordered],
        sd=[one.error.sd for one in ordered],
        runs=[one.error.runs for one in ordered],
        x_sd=[one.seconds.sd for one in ordered],
        labels=[", ".join(label) for label in zip(*parts, strict=True)],
        of=[", ".join(run.name for run in one.group.runs) for one in ordered],
        ringed=[any(run.path == shown for run in one.group.runs) for one in ordered],
    )


class _ErrorAgainstTime(SpreadFigure, ABC):
    """A mark for each group of runs; those that differ in m or in their data alone are joined by a line."""

    label: ClassVar[str]
    """What the time is of, with its unit."""

    @staticmethod
    @abstractmethod
    def seconds(run: RunOnDisk) -> float:
        """Return the time of a run."""

    def lacking(self, run: RunOnDisk) -> str:
        return alone(run)

    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> SpreadView:
        errors = {}
        for done, run in enumerate(runs, 1):
            errors[run.path] = predicted_error(run)
            progress(done, len(runs), "evaluating runs")
        curves = against_time(runs, errors, {run.path: self.seconds(run) for run in runs})
        title = "mean of the latents decoded, test images; mean ± standard deviation over seeds"
        return SpreadView([SpreadPanel(curves, [], PIXELS, "pixel²")], self.label, title)


@FIGURES.register("mse-time")
class ErrorAgainstEpochTime(_ErrorAgainstTime):
    """Test square error against seconds an epoch, a mark for each method, m and number of digits (Fig. 6, 7)."""

    label: ClassVar[str] = AN_EPOCH

    @staticmethod
    def seconds(run: RunOnDisk) -> float:
        return run.seconds_per_epoch


@FIGURES.register("mse-total-time")
class ErrorAgainstTotalTime(_ErrorAgainstTime):
    """Test square error against seconds of the whole training, a mark for each method, m and number of digits."""

    label: ClassVar[str] = TOTAL

    @staticmethod
    def seconds(run: RunOnDisk) -> float:
        return run.seconds
