"""The coordinator of a sweep: one process at a time, identified to its workers by a token."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, write_text
from gpvae_core.reading import read_text

TOKEN = "coordinator"
"""File in a sweep's folder with the coordinator's token. Workers stop if it has another token, or does not exist."""


@contextmanager
def coordinating(out: Path) -> Iterator[str]:
    """Lock the folder of a sweep for this process, and yield its token.

    Raises:
        UserError: another process coordinates this sweep, or the folder cannot be written.
    """
    with disk_errors(str(out)):
        out.mkdir(parents=True, exist_ok=True)
        # NOTE: the operating system releases the lock of a dead process, so that a killed sweep can be continued.
        lock = FileLock(out / ".sweep.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"a sweep runs in '{out}' already: wait for it, stop it, or choose another --out") from None
    try:
        # NOTE: a worker that outlived its coordinator finds another token and stops.
        token = uuid.uuid4().hex
        write_text(out / TOKEN, token)
        yield token
    finally:
        call_off(out)
        lock.release()


def call_off(out: Path) -> None:
    """Ask all workers to stop, by deleting the token; each saves its run first."""
    (out / TOKEN).unlink(missing_ok=True)


def token_in(out: Path) -> str:
    """Return the coordinator's token; an empty text if there is none."""
    try:
        return read_text(out / TOKEN)
    except (OSError, ValueError):
        return ""
