"""Context managers around a training: one turns signals into a stop event, one locks the run folder."""

from __future__ import annotations

import atexit
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gpvae_core.errors import UserError
from gpvae_core.files import real_path, remove_empty
from gpvae_core.progress import Cancelled

EXIT_CODE = 130
"""Exit code of a command that was stopped by a signal, as a shell gives it for Ctrl-C."""
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that stop a command: Ctrl-C, a request to end, and a terminal that is closed, which Windows lacks."""
PROBE_S = 0.1
"""Seconds for which a training waits for the lock of its folder, which `is_being_trained` may hold for an instant."""
HANGUP = getattr(signal, "SIGHUP", None)


def _handlers() -> dict[int, Any]:
    """Return the present handler of each signal that stops a command, but for SIGHUP where `nohup` has it ignored."""
    handlers = {int(number): signal.getsignal(number) for number in STOPPING}
    return {k: old for k, old in handlers.items() if k != HANGUP or old is not signal.SIG_IGN}


def _leave_terminal(number: int) -> None:
    """After SIGHUP write to no terminal any more: it is closed, and each line would end in an error."""
    if number != HANGUP:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for out in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(out).st_mode):
                os.dup2(nowhere, out)
    os.close(nowhere)


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that the first signal of `STOPPING` sets; a second one has its usual effect.

    NOTE: only the main thread may install signal handlers; in other threads the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = _handlers()

    def handle(number: int, frame: object) -> None:
        _leave_terminal(number)
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
def interrupted_by_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal of `STOPPING`; end the process at once, and silently, at the next.

    What is saved is intact then: files are replaced as a whole, and the operating system releases locks. After a block
    that a signal has stopped, the signals go on to end the process; while the interpreter ends, they are ignored.

    NOTE: only the main thread may install signal handlers; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = _handlers()

    def end(number: int, frame: object) -> None:
        os._exit(EXIT_CODE)

    def interrupt(number: int, frame: object) -> None:
        _leave_terminal(number)
        for each in previous:
            signal.signal(each, end)
        raise KeyboardInterrupt

    for number in previous:
        signal.signal(number, interrupt)
    stopped = False
    try:
        yield
    except (KeyboardInterrupt, Cancelled):
        stopped = True
        raise
    finally:
        for number, handler in previous.items():
            ends = stopped or signal.getsignal(number) is end
            signal.signal(number, end if ends else handler)
            # Registered last, it is called first: before what a library that was imported meanwhile does at the end.
            atexit.register(signal.signal, number, signal.SIG_IGN)


def _lock_file(real: Path) -> Path:
    return real.parent / f".{real.name}.lock"


def is_being_trained(out: Path) -> bool:
    """Return whether a process, this one included, holds the lock of the run folder."""
    lock = _lock_file(real_path(out))
    if not lock.is_file():  # it is deleted where a training ends, unless it is killed
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # such as no permission to write: not known
        return False


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lock the run folder for this process; by whatever path a run is named, links included, it has one lock.

    Folders above the run that are made for the lock are removed at the end if nothing was put into them.

    Raises:
        UserError: another process trains in the folder, or it cannot be written to.
    """
    real = real_path(out)
    lock = FileLock(_lock_file(real))
    missing = [folder for folder in real.parents if not folder.exists()]
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PROBE_S)
    except Timeout:
        also = "" if real == out.absolute() else f" (it is '{real}')"
        raise UserError(f"'{out}'{also} is being trained by another process") from None
    except OSError as error:
        remove_empty(missing)
        raise UserError(f"cannot write to '{out.parent}': {error.strerror or error}") from None
    try:
        yield
    finally:
        # NOTE: the file is deleted while it is locked. Deleted after that, it could belong to the next process, and a
        # third one would lock a new file of that name. A process that waits for a deleted file opens it again.
        with suppress(OSError):  # Windows deletes no open file
            Path(lock.lock_file).unlink()
        lock.release()
        remove_empty(missing)
