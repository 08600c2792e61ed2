"""Guards around a training: signals ask for a stop, and a folder is trained in by one process at a time."""

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
    """Set the event at the first of these signals; at a second one the program stops as it would by itself.

    NOTE: only the main thread may set handlers; in any other the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in signals}

    def ask(*_: object) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder for this training alone. Raises UserError where another process trains in it."""
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
