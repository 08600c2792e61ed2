"""The runs of a figure: finding them, grouping them by their settings but the seed, and naming the groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gpvae_core.errors import UserError, shown
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.files import real_path, with_name
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import existing_run, read_config, read_metrics
from gpvae_core.run_records import EpochMetrics
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import kept_epochs, load_run
from gpvae_core.sweep.config import flat

RUNS = "runs"
"""Subfolder of a sweep's folder with its runs."""
ALIKE = frozenset({"seed", "data.split_seed", "train.keep_every"})
"""Settings in which runs of a group may differ: the seeds, and what is kept of a training without changing it."""


@dataclass(frozen=True)
class RunOnDisk:
    """A run with at least one finished epoch, whose weights are not read."""

    path: Path
    config: RunConfig
    partial: str
    """How far a training that has not ended has come; '' where it has ended."""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return shown(self.path.name)

    @cached_property
    def metrics(self) -> list[EpochMetrics]:
        """The metrics of each epoch."""
        return read_metrics(self.path / "metrics.jsonl")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings by dotted key."""
        return flat(self.config.to_json())

    @property
    def family(self) -> str:
        """The method without its number."""
        return self.config.method.partition(":")[0]

    @property
    def points(self) -> int | None:
        """The number m of inducing points; None for a method without them."""
        return self.settings.get("inference.points")

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs whose weights were kept over training."""
        return kept_epochs(self.path)

    @property
    def seconds(self) -> float:
        """Wall time of the training passes, in seconds."""
        return self.metrics[-1]["seconds"]

    @property
    def seconds_per_epoch(self) -> float:
        """Mean wall time of an epoch's training pass, in seconds."""
        return self.seconds / self.metrics[-1]["epoch"]


def runs_at(places: Sequence[Path]) -> list[RunOnDisk]:
    """Return the runs at these places: run folders, and folders of runs or of sweeps. Each run is returned once.

    Raises:
        UserError: there is no such folder, one has no run with a finished epoch, or a run is damaged.
    """
    found: dict[Path, RunOnDisk] = {}
    for place in places:
        here = [run_at(folder) for folder in _folders(place)]
        started = [run for run in here if run is not None]
        if not started:
            raise UserError(f"'{place}' has no run with a finished epoch: wanted a run, or a folder of runs or a sweep")
        found |= {real_path(run.path): run for run in started}
    return list(found.values())


def _folders(place: Path) -> list[Path]:
    folder = with_name(existing_run(place))
    if (folder / "config.json").is_file():
        return [folder]
    below = folder / RUNS if (folder / RUNS).is_dir() else folder
    return sorted(path for path in below.iterdir() if (path / "config.json").is_file())


def run_at(folder: Path) -> RunOnDisk | None:
    """Return the run in this folder; None if it has no finished epoch yet, as one that a sweep has just begun."""
    if not read_metrics(folder / "metrics.jsonl"):
        return None
    return RunOnDisk(folder, read_config(folder), summarize(folder).partial)


@dataclass(frozen=True)
class RunGroup:
    """Runs that share all settings but the seed, and perhaps others; with a name that tells them from the others."""

    name: str
    runs: tuple[RunOnDisk, ...]


def grouped(runs: Sequence[RunOnDisk], but: Collection[str] = ()) -> list[RunGroup]:
    """Return the groups of runs that share all settings but their seeds, and those called `but`, by method and m.

    Args:
        but: dotted keys. With 'inference.points', 'svgp:8' and 'svgp:32' are one method as well.
    """
    groups: dict[str, list[RunOnDisk]] = {}
    for run in sorted(runs, key=lambda run: (run.family, run.points or 0)):
        groups.setdefault(repr(sorted(_compared(run, but).items())), []).append(run)
    settings = [_compared(members[0], but) for members in groups.values()]
    names = _names(settings)
    return [RunGroup(name, tuple(members)) for name, members in zip(names, groups.values(), strict=True)]


def _compared(run: RunOnDisk, but: Collection[str]) -> dict[str, Any]:
    left = {key: value for key, value in run.settings.items() if key not in ALIKE and key not in but}
    if "inference.points" in but:
        left["method"] = run.family
    return left


def _names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each group: its method and, where that is not enough, the settings that differ.

    Where some have series, such as videos, whose images are predicted from those of the same one, and others have none,
    that is said, as their errors are no like ones.
    """
    alike = [[other for other in settings if other["method"] == own["method"]] for own in settings]
    series = [own.get("prior.group", "") for own in settings]
    given = [f"given its own {name}" if name and not all(series) else "" for name in series]
    parts = zip(settings, alike, given, strict=True)
    return [", ".join(filter(None, [own["method"], *_different(own, others), said])) for own, others, said in parts]


def _different(own: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings of `own` that some of the others do not have, or have at another value."""
    keys = [key for key in own if any(other.get(key) != own[key] for other in others)]
    return [_setting(key, own[key]) for key in keys]


def _setting(key: str, value: Any) -> str:
    """Return a setting in words, such as 'batch_size 32', or 'no group' where it is empty."""
    name = key.rpartition(".")[-1]
    return str(value) if key == "data.name" else f"no {name}" if value in ("", None) else f"{name} {value}"


@dataclass(frozen=True)
class Spread:
    """The mean of one number over runs, and their standard deviation; 0 of a single run."""

    mean: float
    sd: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of the values, of which there is at least one."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(float(np.mean(values)), sd, len(values))


def alone(run: RunOnDisk) -> str:
    """Return in a line that a run models images alone, so that it predicts none; '' where it does."""
    if run.config.inference.conditional:
        return ""
    return f"run '{run.name}' has no GP prior and no columns: its images are independent, and none is predicted"


def predicted_error(run: RunOnDisk) -> float:
    """Return the mean square error of a pixel of a run's predictions of the test images, means decoded.

    Those of a run with groups are given images of the same group: of a new one, those that are scored.

    Raises:
        UserError: it is not a number, or the run models images alone.
    """
    mse = evaluate_conditional(load_run(run.path), k=1).mse.mean
    if mse is None:
        raise UserError(f"the square error of run '{run.name}' is not a number")
    return mse
