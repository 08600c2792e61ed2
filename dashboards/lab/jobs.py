"""Jobs in threads of the server, whose progress pages can show and which they can cancel."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

from dashboards.lab.faults import told
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled, Progress, checked_by, duration

Outcome = Literal["idle", "waiting", "running", "stopping", "done", "cancelled", "failed"]
ANSWER_S, JOB_S = 60.0, 1800.0
"""Most seconds of an answer that a page computes at once, and of a job."""
PATIENCE_S = 10.0
"""Most seconds for which the job of a slow pane waits for those of other panes; then it goes on beside them."""
_ONE_AT_A_TIME = threading.Lock()
"""Held by the one job of all pages' slow panes that computes: a second one would distort the times it measures."""
_ENDING = threading.Event()
"""Set when the server ends."""
_STARTED: weakref.WeakSet[WatchedJob] = weakref.WeakSet()
"""All jobs that were started and are still known to something."""
LOOK_S = 0.2
"""Seconds after which a job that waits for that lock checks again whether it was cancelled."""
LATE_S = 5.0
"""Seconds after its expected end from which a job is said to take longer."""

OF_RUN, OF_STEP = "of this run", "of this step"
"""What a time left is for, in a job that trains several runs and in one that computes a view step by step."""


class TimeOver(UserError):
    """Raised where work has taken as long as it may."""


@contextmanager
def allowed(wanted: Callable[[], bool], seconds: float) -> Iterator[None]:
    """Let the work of this thread go on while it is wanted, for so many seconds.

    Raises:
        Cancelled: by `checkpoint`, when it is not wanted any more.
        TimeOver: by `checkpoint`, when its time is over.
    """
    end = time.monotonic() + seconds

    def check() -> None:
        if _ENDING.is_set() or not wanted():
            raise Cancelled
        if time.monotonic() > end:
            raise TimeOver(f"this was stopped as it took more than {duration(seconds)}: ask for fewer steps or methods")

    with checked_by(check):
        yield


@dataclass(frozen=True)
class Report:
    """The progress of a job: `done` of `total` steps of `what`.

    `left` is in seconds, None while unknown, as of the time `at` on the monotonic clock; None for now. `part` names
    what that time is for, if more may follow: 'of this run'.
    """

    outcome: Outcome
    what: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    error: str = ""
    at: float | None = None
    part: str = ""

    @property
    def running(self) -> bool:
        return self.outcome in ("waiting", "running", "stopping")

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    @property
    def words(self) -> str:
        """The progress in one line, for the page."""
        if self.outcome == "cancelled":
            return "Cancelled. What was trained so far is kept; training goes on from there."
        if self.outcome == "failed":
            return self.error
        if self.outcome == "stopping":
            return "Cancelled: it ends with the step that it is at…"
        what = self.what or "starting"
        count = f" {min(self.done, self.total)} of {self.total}" if self.total else ""
        return f"{what[0].upper()}{what[1:]}{count}{self._left_words()}"

    def _left_words(self) -> str:
        if self.left is None or (self.total and self.done >= self.total):
            return ""
        left = self.left - (0.0 if self.at is None else time.monotonic() - self.at)
        if left < -LATE_S:
            return ", longer than expected"
        return f", about {duration(max(5, 5 * round(left / 5)))} left{self.part and ' '}{self.part}"


class WatchedJob:
    """A thread that runs `work(progress)`, for at most `seconds`. Any number of pages may read `report()`.

    The thread replaces the frozen report as a whole, so that readers need no lock. A job with a limit can be cancelled
    at any checkpoint, one without, such as a training, only where it reports progress.
    """

    def __init__(
        self, name: str, work: Callable[[Progress], Any], seconds: float | None = None, part: str = ""
    ) -> None:
        self.name, self._work, self._seconds, self._part = name, work, seconds, part
        self.result: Any = None
        """What the work returned, once it is done."""
        self._cancel = threading.Event()
        self._report = Report("idle")
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> WatchedJob:
        """Start the thread; return the job itself."""
        self._report = Report("waiting")
        self._thread.start()
        _STARTED.add(self)  # only now, as `stop_jobs` waits for the threads of all jobs in it
        return self

    def cancel(self) -> None:
        """Ask the work to stop; its report says so at once."""
        self._cancel.set()

    def report(self) -> Report:
        """Return the progress so far."""
        report = self._report
        return replace(report, outcome="stopping") if report.running and self._cancel.is_set() else report

    def join(self, timeout: float | None = None) -> None:
        """Wait until the work has ended."""
        self._thread.join(timeout)

    def _progress(self, done: int, total: int, what: str) -> None:
        now, before = time.monotonic(), self._report
        if not before.running:  # a callback that outlives the work
            return
        if self._cancel.is_set():
            raise Cancelled
        if what != before.what or done < before.done:
            self._since = now
        spent = now - self._since
        left = spent / done * (total - done) if done and spent > 0.5 else None
        self._report = Report("running", what, done, total, left, at=now, part=self._part)

    def _run(self) -> None:
        outcome, error = self._outcome()
        self._report = Report(outcome, self._report.what, error=error)

    def _outcome(self) -> tuple[Outcome, str]:
        wanted = lambda: not self._cancel.is_set()  # noqa: E731
        try:
            with nullcontext() if self._seconds is None else allowed(wanted, self._seconds):
                self.result = self._work(self._progress)
        except Cancelled:
            return "cancelled", ""
        except Exception as error:
            return "failed", told(error, self.name)
        return "done", ""


def stop_jobs(seconds: float) -> None:
    """End all work, and wait up to so many seconds until the jobs have ended: a training saves its state first."""
    _ENDING.set()
    jobs, deadline = list(_STARTED), time.monotonic() + seconds
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.join(max(0.0, deadline - time.monotonic()))


NEVER_STARTED = WatchedJob("nothing", lambda progress: None)
"""Stands in a slot that has had no job: its report is idle."""


class JobSlot:
    """Runs one job at a time, for all pages that share the slot; `part` is what each of its times left is for."""

    def __init__(self, part: str = "") -> None:
        self._lock, self._part = threading.Lock(), part
        self._job = NEVER_STARTED
        self.number = 0
        """How many jobs were begun: by it a page tells a new job from one whose end it has shown."""

    def begin(self, name: str, work: Callable[[Progress], Any], seconds: float | None = None) -> bool:
        """Start a job unless one is running; return whether it was started."""
        with self._lock:
            if self.running:
                return False
            self._job = WatchedJob(name, work, seconds, self._part).start()
            self.number += 1
            return True

    @property
    def running(self) -> bool:
        """Whether a job is waiting or running."""
        return self._job.report().running

    def cancel(self) -> None:
        """Cancel the job, if there is one."""
        self._job.cancel()

    def report(self) -> Report:
        """Return the progress of the job; its outcome is idle where there was none."""
        return self._job.report()


class Background(JobSlot):
    """Computes the view of one slow pane; a request for another view cancels the job of the one before.

    A job that is cancelled runs on to its next checkpoint, but its result is never read: the slot has already
    forgotten it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(OF_STEP)
        self._name = name
        self.key: Hashable = None
        """What the view computed last depends on, see `Pane.key`; None where none is asked for."""

    def compute(self, key: Hashable, work: Callable[[Progress], Any]) -> None:
        """Start a job for the view of this key, unless it is being computed already, or has been."""
        if key != self.key:
            self.discard()
            self.key = key
            if key is not None:
                self.begin(self._name, lambda progress: _in_turn(work, progress), JOB_S)

    def discard(self) -> None:
        """Cancel the job and forget its result: the next request is computed even where its key is the same."""
        self.cancel()
        self.key, self._job = None, NEVER_STARTED

    def cancel_unfinished(self) -> None:
        """Cancel a job that is still running; keep the result of one that is done."""
        if self.running:
            self.discard()

    @property
    def result(self) -> Any:
        """The view once it is computed, None before."""
        return self._job.result


def _in_turn(work: Callable[[Progress], Any], progress: Progress) -> Any:
    """Wait until no other slow pane is computing, but not for ever, then do the work."""
    end = time.monotonic() + PATIENCE_S
    progress(0, 0, "waiting for other work")
    while not (alone := _ONE_AT_A_TIME.acquire(timeout=LOOK_S)) and time.monotonic() < end:
        progress(0, 0, "waiting for other work")
    try:
        progress(0, 0, "starting")
        return work(progress)
    finally:
        if alone:
            _ONE_AT_A_TIME.release()
