"""Compute what takes longer in a job that is watched and can be cancelled, one job at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from dashboards.lab.jobs import Report, WatchedJob
from gpvae_core.progress import Progress

_ONE_AT_A_TIME = threading.Lock()
"""One lock for all pages: what is timed must not be slowed down by what is computed beside it."""
LOOK_S = 0.2


class Background:
    """Computes what one pane wants; a new wish ends the old one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._job: WatchedJob | None = None
        self._result: list[Any] = []
        self.key: Hashable = None
        """What stands for the wish; None for no wish."""

    def want(self, key: Hashable, compute: Callable[[Progress], Any]) -> None:
        """Compute this, unless that is what is being or has been computed."""
        if key == self.key:
            return
        self.cancel()
        self.key, self._job = key, None
        if key is None:
            return
        result: list[Any] = []

        def work(progress: Progress) -> None:
            progress(0, 0, "waiting for other work")
            while not _ONE_AT_A_TIME.acquire(timeout=LOOK_S):
                progress(0, 0, "waiting for other work")
            try:
                result.append(compute(progress))
            finally:
                _ONE_AT_A_TIME.release()

        self._result = result
        self._job = WatchedJob(self._name, work).start()

    def forget(self) -> None:
        """Drop the answer: the next wish is computed even where it is the same."""
        self.cancel()
        self.key, self._job = None, None

    def leave(self) -> None:
        """Drop a wish that is still being worked on; an answer that is there stays."""
        if self._job is not None and self._job.report().running:
            self.forget()

    def cancel(self) -> None:
        """Stop the job, if there is one, at its next report."""
        if self._job is not None:
            self._job.cancel()

    def report(self) -> Report | None:
        """Return where the job stands; None where nothing is wanted."""
        return None if self._job is None else self._job.report()

    @property
    def result(self) -> Any | None:
        """Return what was computed, once it is."""
        return self._result[0] if self._job is not None and self._result else None
