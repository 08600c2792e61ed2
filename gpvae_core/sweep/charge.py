"""The coordinator of a sweep's folder: one process at a time, which its workers recognise by a token."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, write_text

TOKEN = "coordinator"
"""File in a sweep's folder with the token of its coordinator; workers of another one, or of none, stop."""


@contextmanager
def coordinating(out: Path) -> Iterator[str]:
    """The folder for this process alone; yields its token. A dead process's lock is free.

    Raises:
        UserError: another process coordinates this sweep, or the folder cannot be written.
    """
    with disk_errors(str(out)):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".sweep.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"a sweep runs in '{out}' already: wait for it, stop it, or choose another --out") from None
    try:
        # NOTE: a worker that outlived its coordinator finds another token here, and stops.
        token = uuid.uuid4().hex
        write_text(out / TOKEN, token)
        yield token
    finally:
        call_off(out)
        lock.release()


def call_off(out: Path) -> None:
    """Ask all workers to stop; each saves where it is."""
    (out / TOKEN).unlink(missing_ok=True)


def token_in(out: Path) -> str:
    """Return the token of the coordinator; empty where there is none."""
    try:
        return (out / TOKEN).read_text(encoding="utf-8")
    except OSError:
        return ""
