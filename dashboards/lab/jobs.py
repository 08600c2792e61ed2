"""Work in the background of the server that pages can watch and cancel."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled, Progress

log = logging.getLogger(__name__)
Outcome = Literal["waiting", "running", "done", "cancelled", "failed"]


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


class WatchedJob:
    """`work(progress)` in a thread of its own. Any number of pages may read `report()`."""

    def __init__(self, name: str, work: Callable[[Progress], None]) -> None:
        self.name = name
        self._work = work
        self._cancel = threading.Event()
        self._lock = threading.Lock()
        self._report = Report("waiting")
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> WatchedJob:
        """Begin; returns itself."""
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask it to stop; it does at its next report of progress."""
        self._cancel.set()

    def report(self) -> Report:
        """Return where it stands now."""
        with self._lock:
            return self._report

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _set(self, report: Report) -> None:
        with self._lock:
            self._report = report

    def _progress(self, done: int, total: int, what: str) -> None:
        if self._cancel.is_set():
            raise Cancelled
        now, before = time.monotonic(), self.report()
        if not before.running:  # a callback that outlives the work, as those of a fitted t-SNE map do
            return
        if what != before.what or done < before.done:
            self._since = now
        spent = now - self._since
        left = spent / done * (total - done) if done and spent > 0.5 else None
        self._set(Report("running", what, done, total, left))

    def _run(self) -> None:
        try:
            self._work(self._progress)
        except Cancelled:
            self._set(Report("cancelled", self.report().what))
        except UserError as error:
            self._set(Report("failed", self.report().what, error=str(error)))
        except Exception as error:
            log.exception("%s failed", self.name)
            self._set(
                Report("failed", self.report().what, error=f"{self.name} failed: {type(error).__name__}: {error}")
            )
        else:
            self._set(Report("done", self.report().what))


class JobSlot:
    """Room for one job at a time, which all pages share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: WatchedJob | None = None
        self.number = 0
        """Counts jobs, so that a page knows one of which it has not seen the end."""

    def begin(self, name: str, work: Callable[[Progress], None]) -> bool:
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
        return self._job is not None and self._job.report().running

    def cancel(self) -> None:
        """Stop the job, if there is one, at its next report of progress."""
        if self._job is not None:
            self._job.cancel()

    def report(self) -> Report:
        """Return where the job stands."""
        return self._job.report() if self._job is not None else Report("waiting")
