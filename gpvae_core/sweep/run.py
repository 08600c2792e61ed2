"""Running a sweep: one process plans, submits jobs and writes results; Dask's workers train."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpvae_core.errors import UserError
from gpvae_core.files import real_path
from gpvae_core.guards import stop_on_signal
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_metrics
from gpvae_core.sweep.charge import call_off, coordinating
from gpvae_core.sweep.cluster import ClusterSettings, check_scheduler, client_of, slots
from gpvae_core.sweep.config import SweepConfig
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.results import FILE, Cost, JobTimes, mean_cost, open_results
from gpvae_core.sweep.schema import has_content
from gpvae_core.sweep.scores import score_of
from gpvae_core.sweep.store import Store, open_store
from gpvae_core.sweep.work import run_job

if TYPE_CHECKING:
    from distributed import Client, Future

TICK_SECONDS = 1.0
"""Interval at which the time left is estimated again."""
STOP_SECONDS = 60.0
"""Time that a stop allows the workers to save their runs."""


@dataclass(frozen=True)
class SweepProgress:
    """The progress of a sweep."""

    total: int
    done: int
    failed: int
    running: int
    seconds_left: float | None
    """Estimated time left; None while no cost is known."""
    news: str = ""
    """One line on the last event."""


OnChange = Callable[[SweepProgress], None]


@dataclass
class Outcome:
    """The result of running a sweep."""

    total: int = 0
    done: int = 0
    failed: list[str] = field(default_factory=list)
    """One line per failed job."""


def run_sweep(
    sweep: SweepConfig,
    jobs: Sequence[Job],
    out: Path,
    cluster: ClusterSettings,
    on_change: OnChange | None = None,
    costs: Mapping[str, Cost] | None = None,
) -> Outcome:
    """Do all jobs of the plan that are not done yet; results are written to OUT/results.sqlite, and runs to OUT/runs.

    The next call continues a sweep that was stopped, was killed or crashed. The job of a lost worker is continued by
    another worker.

    Args:
        costs: measured costs, which are stored and used to estimate the time left.

    Raises:
        UserError: another sweep runs in `out`, the device does not exist, no scheduler answers, no worker registers,
            the disk is full, or links lead to one another.
        Cancelled: the sweep was stopped by Ctrl-C, SIGTERM or SIGHUP; finished jobs are kept.
    """
    root = real_path(out)
    check_cluster(cluster, jobs, root)  # before anything is written
    workers, gpus = cluster.local()
    with coordinating(root) as token, open_store(root) as store:
        for key, cost in (costs or {}).items():
            store.put_cost(key, cost)
        statuses = store.register(sweep, jobs)
        todo = [job for job in jobs if statuses[job.key] != "done"]
        running = Running(jobs, todo, root, token, cluster.device, store, on_change)
        running.tell()
        if todo:
            with (
                client_of(cluster.scheduler, min(workers, len(todo)), gpus) as client,
                stop_on_signal() as stop,
            ):
                running.go(client, stop.is_set)
        return running.outcome


def check_cluster(cluster: ClusterSettings, jobs: Sequence[Job], out: Path) -> None:
    """Check that `cluster` can run jobs, if the results in `out` leave any to do.

    Raises:
        UserError: the device does not exist, or no scheduler answers.
    """
    cluster.local()
    statuses = {row.key: row.status for row in open_results(out).rows()} if has_content(out / FILE) else {}
    if cluster.scheduler is not None and any(statuses.get(job.key) != "done" for job in jobs):
        check_scheduler(cluster.scheduler)


class Running:
    """The jobs of one sweep, which are submitted as workers become free."""

    def __init__(
        self,
        jobs: Sequence[Job],
        todo: Sequence[Job],
        root: Path,
        token: str,
        device: str | None,
        store: Store,
        on_change: OnChange | None,
    ) -> None:
        self._root, self._token, self._device, self._store = root, token, device, store
        self._waiting = deque(todo)
        self._flying: dict[Future, tuple[Job, float]] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._on_change = on_change
        kinds = {job.cost_key for job in jobs}
        self._times = store.results.times()  # NOTE: kept, as reading all results after each job would be quadratic
        self._costs = {key: cost for key, cost in store.results.costs().items() if key in kinds}
        self.outcome = Outcome(len(jobs), len(jobs) - len(todo))

    def go(self, client: Client, stopped: Callable[[], bool]) -> None:
        """Submit jobs and collect their results until all are done.

        Raises:
            Cancelled: `stopped()` became true.
            UserError: the connection to the scheduler is lost.
        """
        while self._waiting or self._flying:
            if stopped():
                self._stop()
                raise Cancelled
            self._submit(client)
            self._collect(TICK_SECONDS)

    def _submit(self, client: Client) -> None:
        """Submit as many jobs as there are workers; further ones would count as running while they wait."""
        try:
            free, needs = slots(client)
        except OSError as error:
            raise _scheduler_lost(error) from None
        while self._waiting and len(self._flying) < free:
            job = self._waiting.popleft()
            self._store.start(job.key)
            future = client.submit(
                run_job,
                job.config.to_json(),
                job.score.to_json(),
                str(self._root),
                job.folder,
                self._token,
                self._device,
                # NOTE: the token makes the key unique: for a key of an earlier sweep Dask would return its old result.
                key=f"{job.folder}-{job.key[:8]}-{self._token}",
                resources=needs,
                pure=False,
            )
            self._flying[future] = (job, time.monotonic())
            # NOTE: Dask calls back in another thread; the queue passes the future to this one.
            future.add_done_callback(self._ended.put)

    def _collect(self, timeout: float) -> None:
        """Store the result of a job that ends within `timeout` seconds."""
        try:
            future = self._ended.get(timeout=timeout)
        except queue.Empty:
            self.tell()
            return
        job, _ = self._flying.pop(future)
        try:
            self._enter(job, _answer(future))
        finally:
            future.release()

    def _enter(self, job: Job, answer: Mapping[str, Any]) -> None:
        if answer["state"] == "done":
            self._store.finish(job.key, answer)
            times = self._times.setdefault(job.cost_key, [])
            times.append(JobTimes(answer["train_seconds"], answer["epochs"], answer["score_seconds"]))
            if (cost := mean_cost(times)) is not None:
                self._costs[job.cost_key] = cost
            self.outcome.done += 1
            score = score_of(job.config.inference.kind)
            shown = score.words(answer[score.field])
            news = f"{job.folder}: {shown} ({job.config.inference.score_name} {answer['validation_elbo']:.1f})"
        elif answer["state"] == "failed":
            self._store.fail(job.key, answer["message"])
            self.outcome.failed.append(f"{job.folder}: {answer['message']}")
            news = f"{job.folder} failed: {answer['message']}"
        else:
            self._store.fail(job.key, f"the worker does not see '{self._root}': wanted --out on a disk all share")
            raise UserError(f"a worker does not see '{self._root}': wanted --out on a disk that all workers share")
        self.tell(news)

    def _stop(self) -> None:
        """Ask the workers to save and stop, and store the results of jobs that finish meanwhile."""
        call_off(self._root)
        deadline = time.monotonic() + STOP_SECONDS
        while self._flying and time.monotonic() < deadline:
            try:
                future = self._ended.get(timeout=TICK_SECONDS)
            except queue.Empty:
                continue
            job, _ = self._flying.pop(future)
            answer = _answer(future)
            if answer["state"] == "stopped":
                self._store.put_back(job.key)
            else:
                self._enter(job, answer)
        for job, _ in self._flying.values():
            self._store.put_back(job.key)

    def tell(self, news: str = "") -> None:
        """Report the progress of the sweep, with one line on the last event."""
        if self._on_change is not None:
            o = self.outcome
            left = self._seconds_left()
            self._on_change(SweepProgress(o.total, o.done, len(o.failed), len(self._flying), left, news))

    def _seconds_left(self) -> float | None:
        """Return the estimated seconds left, with as many jobs at a time as run now; None if no cost is known."""
        now = time.monotonic()
        for job, _ in self._flying.values():
            if job.cost_key not in self._costs and (cost := self._cost_so_far(job)):
                self._costs[job.cost_key] = cost
        seconds = [self._estimate(job) for job in self._waiting]
        seconds += [max(0.0, self._estimate(job) - (now - started)) for job, started in self._flying.values()]
        if not self._costs:
            return None
        at_once = max(1, len(self._flying))
        longest = max(seconds[len(self._waiting) :], default=0.0)
        return max(sum(seconds) / at_once, longest)

    def _cost_so_far(self, job: Job) -> Cost | None:
        """Return the cost estimated from the epochs of an unfinished run so far, without its score; None if unknown.

        A damaged run is unknown here: the worker that has its job answers that it failed, and the others go on.
        """
        try:
            rows = read_metrics(self._root / "runs" / job.folder / "metrics.jsonl")
        except UserError:
            return None
        return Cost(rows[-1]["seconds"] / rows[-1]["epoch"], 0.0) if rows else None

    def _estimate(self, job: Job) -> float:
        """Return the estimated seconds of a job; if its cost is unknown, the mean over the known kinds."""
        epochs = job.config.train.epochs
        if job.cost_key in self._costs:
            return self._costs[job.cost_key].job(epochs)
        known = [cost.job(epochs) for cost in self._costs.values()]
        return sum(known) / max(1, len(known))


def _answer(future: Any) -> Mapping[str, Any]:
    """Return the result of a job; an exception that Dask reports becomes a failed job.

    Raises:
        UserError: the connection to the scheduler is lost.
    """
    if future.status in ("cancelled", "lost"):
        raise _scheduler_lost(future.status)
    error = future.exception()
    if error is None:
        return future.result()
    return {"state": "failed", "message": _why(error)}


def _why(error: BaseException) -> str:
    """Return one line on an exception that `run_job` does not handle itself."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "the workers that tried it died one after the other: was there too little memory?"
    return f"{type(error).__name__}: {error}"


def _scheduler_lost(why: object) -> UserError:
    return UserError(f"lost the Dask scheduler ({why}): start it again, and the sweep goes on where it was")
