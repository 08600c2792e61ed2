"""Atomic writing of files and folders: write under a temporary name, flush to the disk, then rename."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from gpvae_core.errors import UserError


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn an error of the disk, such as a full or read-only one, into UserError; `what` names the file in it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full: could not write {what}; what was saved is intact") from error
        raise UserError(f"could not write {what}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"could not write {what}: {error}; is the disk full? What was saved is intact") from error


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    if os.name == "nt" and path.is_dir():  # NOTE: Windows cannot open a folder for os.fsync
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checked_path(path: str | Path) -> Path:
    """Return the path that a person wrote.

    Raises:
        UserError: it is empty, as where a variable is not set; Python takes that for the folder in which one works.
    """
    if not str(path):
        raise UserError("wanted a path, got ''; the folder in which you work is '.'")
    return Path(path)


def real_path(path: Path) -> Path:
    """Return the absolute path without links, by which two names of one folder are recognized.

    Raises:
        UserError: links lead to one another.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # NOTE: Python 3.11 and 3.12 report a circle of links by RuntimeError
        raise UserError(f"'{path}' cannot be followed: do its links lead to one another?") from None


def with_name(path: Path) -> Path:
    """Return a path of the same folder that ends in its name, which '.' and '..' do not."""
    return path if path.name not in ("", "..") else real_path(path)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends; if the process is killed before that, the old one stays.

    The temporary name is fixed, so that the next writer overwrites the remains of a killed one. Therefore only one
    process at a time may write the same file.

    A pipe or a terminal, such as /dev/stdout, cannot be replaced: it is written to directly.

    Raises:
        UserError: the disk is full or read-only.
    """
    if path.exists() and not path.is_file():
        with disk_errors(str(path)), path.open("wb") as file:
            yield file
        return
    temporary = _temporary(path)
    with disk_errors(str(path)):
        try:
            with temporary.open("wb") as file:
                yield file
            # NOTE: sync before the rename; otherwise a power cut could leave the final name on an empty file.
            sync(temporary)
            os.replace(temporary, path)
        except Exception:
            with suppress(OSError):
                temporary.unlink()
            raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def check_file(path: Path, makes_folders: bool = False) -> None:
    """Raise UserError, before long work, if `replacing(path)` could not write there; nothing is left behind.

    Args:
        makes_folders: whether folders above it that are missing are made before it is written.
    """
    with disk_errors(str(path)):
        if path.is_dir() or not (path.parent.is_dir() or makes_folders):
            raise UserError(f"wanted a file in an existing folder, got '{path}'")
        if not path.exists() or path.is_file():
            _try_to_write(path)
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _try_to_write(path: Path) -> None:
    """Make and remove the temporary file of `replacing`, and the folders above it that are missing."""
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _temporary(path).open("ab").close()
        _temporary(path).unlink()
    finally:
        remove_empty(missing)


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of these folders, the innermost first, that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8. Raises UserError as `replacing` does."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a value as JSON. Raises UserError as `replacing` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def replace_folder(folder: Path, fresh: Path, old: Path) -> None:
    """Replace `folder` by `fresh`; between the two renames the previous content is found under `old`."""
    sync(fresh)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(fresh, folder)
    sync(folder.parent)  # a rename reaches the disk with the parent folder
    shutil.rmtree(old, ignore_errors=True)


def write_cached(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Write a cache file and return whether that succeeded: a full or read-only disk is not an error.

    Several processes may write the same file at once. It is not flushed to the disk, so readers must detect damage.
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
