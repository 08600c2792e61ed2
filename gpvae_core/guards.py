"""What surrounds a training: Ctrl-C asks for a stop, and a folder is trained in by one process at a time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpvae_core.errors import UserError


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C asks for a stop after the current step; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One training at a time in a folder."""
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
