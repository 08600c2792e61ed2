"""Files that are written as a whole or not at all: under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from gpvae_core.errors import UserError


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Report a full or read-only disk in one clear line; `what` names the file that could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full: could not write {what}; what was saved is intact") from error
        raise UserError(f"could not write {what}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"could not write {what}: {error}; is the disk full? What was saved is intact") from error


def sync(path: Path) -> None:
    """Flush a file or folder to the disk; folders cannot be synced on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends; a kill at any moment leaves the old one.

    One process at a time may write it, so that what a killed one left behind is written over by the next.

    Raises:
        UserError: the disk is full or read-only.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(str(path)):
        with temporary.open("wb") as file:
            yield file
        # NOTE: the bytes first, then the name: after a power cut the new name never stands for an empty file.
        sync(temporary)
        os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text in UTF-8. Raises UserError as `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a value as JSON. Raises UserError as `replacing`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def replace_folder(folder: Path, fresh: Path, old: Path) -> None:
    """Put `fresh` in the place of `folder`; between the two renames it stands beside it as `old`."""
    sync(fresh)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(fresh, folder)
    sync(folder.parent)  # a rename is on the disk once its folder is
    shutil.rmtree(old, ignore_errors=True)


def write_cached(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Write a file of a cache, and return whether it could be: a full or read-only disk is no error.

    Several processes may write the same file at once. It is not flushed, so its reader must recognise a damaged one.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True
