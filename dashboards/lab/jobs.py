"""Work in the background of the server that pages can watch and cancel."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal

from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled, Progress

log = logging.getLogger(__name__)
Outcome = Literal["idle", "waiting", "running", "done", "cancelled", "failed"]
_ONE_AT_A_TIME = threading.Lock()
"""One lock for the slow panes of all pages: what is timed must not be slowed down by what is computed beside it."""
LOOK_S = 0.2
"""How often a job that waits for its turn looks whether it was cancelled."""


@dataclass(frozen=True)
class Report:
    """Where a job stands: `done` of `total` steps of `what`; `left` is in seconds, None while unknown."""

    outcome: Outcome
    what: str = ""
    done: int = 0
    total: int = 0
    left: float | None = None
    error: str = ""

    @property
    def running(self) -> bool:
        return self.outcome in ("waiting", "running")

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    @property
    def words(self) -> str:
        """The report in one line."""
        if self.outcome == "cancelled":
            return "Cancelled. What was trained so far is kept; training goes on from there."
        if self.outcome == "failed":
            return self.error
        what, left = self.what or "starting", time_left(self.left)
        count = f" {self.done} of {self.total}" if self.total else ""
        return f"{what[0].upper()}{what[1:]}{count}" + (f", {left}" if left else "")


def time_left(seconds: float | None) -> str:
    """Return 'about 40 s left', rounded as it deserves; '' while unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5)):d} s left"
    return f"about {round(seconds / 60):d} min left"


class WatchedJob:
    """`work(progress)` in a thread of its own. Any number of pages may read `report()`."""

    def __init__(self, name: str, work: Callable[[Progress], Any]) -> None:
        self.name, self._work = name, work
        self.result: Any = None
        """What the work returned, once it is done."""
        self._cancel = threading.Event()
        self._report = Report("idle")
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> WatchedJob:
        """Begin; returns itself."""
        self._report = Report("waiting")
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask it to stop; it does at its next report of progress."""
        self._cancel.set()

    def report(self) -> Report:
        """Return where it stands now."""
        return self._report

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _progress(self, done: int, total: int, what: str) -> None:
        if self._cancel.is_set():
            raise Cancelled
        now, before = time.monotonic(), self._report
        if not before.running:  # a callback that outlives the work, as those of a fitted t-SNE map do
            return
        if what != before.what or done < before.done:
            self._since = now
        spent = now - self._since
        left = spent / done * (total - done) if done and spent > 0.5 else None
        self._report = Report("running", what, done, total, left)

    def _run(self) -> None:
        outcome, error = self._outcome()
        self._report = Report(outcome, self._report.what, error=error)

    def _outcome(self) -> tuple[Outcome, str]:
        try:
            self.result = self._work(self._progress)
        except Cancelled:
            return "cancelled", ""
        except UserError as error:
            return "failed", str(error)
        except Exception as error:
            log.exception("%s failed", self.name)
            return "failed", f"{self.name} failed: {type(error).__name__}: {error}"
        return "done", ""


NOTHING = WatchedJob("nothing", lambda progress: None)
"""A job that is never started."""


class JobSlot:
    """Room for one job at a time, which all pages share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job = NOTHING
        self.number = 0
        """Counts jobs, so that a page knows one of which it has not seen the end."""

    def begin(self, name: str, work: Callable[[Progress], Any]) -> bool:
        """Begin a job, unless one is running; return whether it was begun."""
        with self._lock:
            if self.running:
                return False
            self._job = WatchedJob(name, work).start()
            self.number += 1
            return True

    @property
    def running(self) -> bool:
        """True while the job goes on."""
        return self._job.report().running

    def cancel(self) -> None:
        """Stop the job, if there is one, at its next report of progress."""
        self._job.cancel()

    def report(self) -> Report:
        """Return where the job stands; it is idle where there was none."""
        return self._job.report()


class Background(JobSlot):
    """Computes what one pane asks for; a new question ends the work on the old one."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.key: Hashable = None
        """Stands for the question; None for no question."""

    def want(self, key: Hashable, compute: Callable[[Progress], Any]) -> None:
        """Compute this, unless that is what is being or has been computed."""
        if key != self.key:
            self.forget()
            self.key = key
            if key is not None:
                self.begin(self._name, lambda progress: _in_turn(compute, progress))

    def forget(self) -> None:
        """Drop the result: the next question is computed even where it is the same."""
        self.cancel()
        self.key, self._job = None, NOTHING

    def leave(self) -> None:
        """Drop a question that is still being worked on; a result that is there stays."""
        if self.running:
            self.forget()

    @property
    def result(self) -> Any:
        """What was computed, once it is; else None."""
        return self._job.result


def _in_turn(compute: Callable[[Progress], Any], progress: Progress) -> Any:
    """Compute once no other slow pane does."""
    progress(0, 0, "waiting for other work")
    while not _ONE_AT_A_TIME.acquire(timeout=LOOK_S):
        progress(0, 0, "waiting for other work")
    try:
        return compute(progress)
    finally:
        _ONE_AT_A_TIME.release()
