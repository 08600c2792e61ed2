"""The cost of a sweep in seconds, extrapolated from a few measured steps of each kind of job."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from gpvae_core.data.base import Dataset
from gpvae_core.device import pick_device
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.progress import Cancelled, Progress
from gpvae_core.runs import Run, load_run
from gpvae_core.sweep.plan import Job, by_cell
from gpvae_core.sweep.results import Cost
from gpvae_core.sweep.work import WEIGHTS_AT_ONCE, data_of, score_run
from gpvae_core.threads import one_thread
from gpvae_core.training import train

WARM_UP, STEPS, AT_MOST_SECONDS = 3, 15, 20.0
PART_OF_SAMPLES = 20
"""Part of a score's samples with which the time of predictions is measured."""


class Stopwatch:
    """A progress callback that times training steps and then stops the training."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._times: list[float] = []
        self.steps_in_all = 0

    def __call__(self, done: int, total: int, what: str) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.steps_in_all = total
        self._times.append(time.perf_counter())
        if len(self._times) > WARM_UP + STEPS or self._times[-1] - self._times[0] > AT_MOST_SECONDS:
            raise Cancelled

    def step_seconds(self) -> float:
        """Return the mean time of the steps after the warm-up, or of all steps if there are too few."""
        times = self._times[WARM_UP:] if len(self._times) > WARM_UP + 1 else self._times
        return (times[-1] - times[0]) / max(1, len(times) - 1)


def measure(job: Job, device: str | None = None) -> Cost:
    """Measure the cost of a job: train a few steps and score a few test images, on this machine with one thread.

    The estimate omits validation (about one forward pass of the validation images per epoch), the estimation of log
    p(x) of test images, the errors of kept epochs, and, for a method that trains in stages, the differences between
    stages.
    """
    target, data = pick_device(device), data_of(job.config.data)
    watch = Stopwatch(target)
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        with suppress(Cancelled):
            train(job.config, folder, device=device, data=data, progress=watch)
        run = load_run(folder, weights="last", device=device)
        seconds = _score_seconds(run, data, job)
    steps = watch.steps_in_all / job.config.train.epochs
    return Cost(steps * watch.step_seconds(), seconds)


def _score_seconds(run: Run, data: Dataset, job: Job) -> float:
    """Return the seconds of a score, from a few test images or, of predictions, from a few samples."""
    score = job.score
    if job.config.inference.conditional:
        started = time.perf_counter()
        few = max(1, score.k // PART_OF_SAMPLES)
        evaluate_conditional(run, "test", few, score.seed)
        return (time.perf_counter() - started) * score.k / few
    images = min(len(data.test), max(1, WEIGHTS_AT_ONCE // score.k))
    score_run(run, data, score, _ignore, images)  # warm-up
    started = time.perf_counter()
    score_run(run, data, score, _ignore, images)
    return (time.perf_counter() - started) * len(data.test) / images


def _ignore(done: int, total: int, what: str) -> None:
    """Ignore the progress of the score, which takes too short a time to show."""


@dataclass(frozen=True)
class CellCost:
    """One line of the plan: the jobs of a data set, method and d, and their cost."""

    dataset: str
    method: str
    latent_dim: int
    jobs: int
    done: int
    to_do: int
    job_seconds: float | None
    """Seconds of one job; None if unknown."""
    seconds: float | None
    """Seconds of the remaining jobs, one after the other; None if unknown."""


def measure_unknown(
    jobs: Sequence[Job], known: Mapping[str, Cost], device: str | None, progress: Progress
) -> dict[str, Cost]:
    """Measure the cost of each kind of job that `known` lacks, and return them by cost key."""
    # Reversed twice: keeps the first job of each kind, in the order of the jobs.
    unknown = {job.cost_key: job for job in reversed(jobs) if job.cost_key not in known}
    costs: dict[str, Cost] = {}
    for number, (key, job) in enumerate(reversed(unknown.items()), 1):
        costs[key] = measure(job, device)
        progress(number, len(unknown), "measuring the cost")
    return costs


def cell_costs(jobs: Sequence[Job], statuses: Mapping[str, str], costs: Mapping[str, Cost]) -> list[CellCost]:
    """Return the plan with one line per data set, method and d."""
    rows = []
    for (dataset, method, latent_dim), members in by_cell(jobs).items():
        done = sum(statuses.get(job.key) == "done" for job in members)
        cost = costs.get(members[0].cost_key)
        job_seconds = None if cost is None else cost.job(members[0].config.train.epochs)
        to_do = len(members) - done
        total = None if job_seconds is None else job_seconds * to_do
        rows.append(CellCost(dataset, method, latent_dim, len(members), done, to_do, job_seconds, total))
    return rows


def total_seconds(rows: Sequence[CellCost]) -> float | None:
    """Return the seconds of all remaining jobs, one after the other; None if a part is unknown."""
    known = [row.seconds for row in rows if row.to_do]
    return None if None in known else sum(seconds for seconds in known if seconds is not None)
