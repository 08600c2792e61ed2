"""Progress of long computations, reported to a callback, so that computing depends on no terminal and no page."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.spinner import Spinner
from rich.text import Text

from gpvae_core.terminal import printable


@runtime_checkable
class Progress(Protocol):
    """Callback that is told that `done` of `total` steps of `what` are done; it stops the work by raising Cancelled.

    >>> import gpvae_core as gpvae
    >>> epochs = []
    >>> def report(done: int, total: int, what: str) -> None:
    ...     epochs.append((done, total))
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=report)
    >>> done, total = epochs[-1]
    >>> done == total
    True
    """

    def __call__(self, done: int, total: int, what: str) -> None: ...


class Cancelled(Exception):
    """Raised by a progress callback to stop the work on which it reports.

    >>> import gpvae_core as gpvae
    >>> def stop(done: int, total: int, what: str) -> None:
    ...     raise gpvae.Cancelled
    >>> try:
    ...     gpvae.train("vae", "digits", out="runs/stopped", progress=stop)
    ... except gpvae.Cancelled:
    ...     print("stopped; gpvae.resume('runs/stopped') goes on")
    stopped; gpvae.resume('runs/stopped') goes on
    """


def silent(done: int, total: int, what: str) -> None:
    """Report nothing.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gpvae.evaluate(run, gpvae.EvaluationSettings(instances=2, truths=2), progress=gpvae.silent).epochs
    1
    """


def renamed(progress: Progress, words: str) -> Progress:
    """Return a progress that reports under another name: `words`, with {} for the name that the work gives itself."""
    return lambda done, total, what: progress(done, total, words.replace("{}", what))


def share_of(progress: Progress, low: int, size: int, whole: int, words: str = "{}") -> Progress:
    """Return a progress that reports a part of `size` items, from number `low` on, as progress of the `whole`.

    `words` is the name of the work, with {} for the name of the part's own work.
    """

    def report(done: int, total: int, what: str) -> None:
        progress(low + size * done // total, whole, words.format(what))

    return report


_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def checked_by(check: Callable[[], None]) -> Iterator[None]:
    """Let `checkpoint` call `check` in this thread while the block lasts; by an exception it stops the work there."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def checkpoint() -> None:
    """Stop here if the work of this thread is not wanted any more, as `checked_by` says; without that do nothing.

    Work that reports no progress, such as a refiner's steps, can be stopped by it: every decoding is a checkpoint.
    """
    check = _CHECK.get()
    if check is not None:
        check()


def stoppable(progress: Progress, stop: threading.Event) -> Progress:
    """Return a progress that raises Cancelled once `stop` is set."""

    def report(done: int, total: int, what: str) -> None:
        progress(done, total, what)
        if stop.is_set():
            raise Cancelled

    return report


def duration(seconds: float | None) -> str:
    """Return a time as '2 d 3 h', '5 h 12 min', '3 min 20 s' or '12 s'; '?' if it is None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((i for i, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number or first == 3)


@contextmanager
def terminal_note(text: str) -> Iterator[None]:
    """Show on a terminal, while the work lasts, what is being done; elsewhere show nothing."""
    # NOTE: rich's own status shows nothing for its first 80 ms, in which an import may begin that takes seconds.
    with Live(Spinner("dots", Text(printable(text))), console=Console(file=sys.stderr), transient=True):
        yield


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Show bars with the time left on standard error, one for each `what`; finished ones stay."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bars = RichProgress(*columns, console=Console(file=sys.stderr))
    tasks: dict[str, int] = {}

    def report(done: int, total: int, what: str) -> None:
        if what not in tasks:
            bars.start()  # NOTE: not earlier, as without a terminal even an empty display prints a line
            tasks[what] = bars.add_task(printable(what), total=total)
        bars.update(tasks[what], completed=done, total=total)  # pyright: ignore[reportArgumentType]

    try:
        yield report
    finally:
        if tasks:
            bars.stop()
