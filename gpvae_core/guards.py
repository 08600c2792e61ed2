"""Context managers around a training: one turns signals into a stop event, one locks the run folder."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpvae_core.errors import UserError


@contextmanager
def stop_on(*signals: int) -> Iterator[threading.Event]:
    """Yield an event that the first of these signals sets; a second signal has its usual effect.

    NOTE: only the main thread may install signal handlers; in other threads the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in signals}

    def handle(*_: object) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lock the run folder for this process.

    Raises:
        UserError: another process trains in the folder, or it cannot be written to.
    """
    lock = FileLock(out.parent / f".{out.name}.lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"'{out}' is being trained by another process") from None
    except OSError as error:
        raise UserError(f"cannot write to '{out.parent}': {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
