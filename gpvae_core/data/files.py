"""Locating the files of a data set, in the folder `GPVAE_DATA_DIR` and in the user's cache."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import pooch

from gpvae_core.data.damage import cannot_read
from gpvae_core.errors import UserError

ENVIRONMENT = "GPVAE_DATA_DIR"


def own_folder() -> Path | None:
    """Return the folder named by the environment variable, or None if it is not set.

    Raises:
        UserError: it is not a folder, or cannot be read.
    """
    text = os.environ.get(ENVIRONMENT)
    if not text:
        return None
    folder = Path(os.path.expanduser(text))
    try:
        os.scandir(f"{folder}/.").close()  # "/." also requires the permission to access files, not only to list them
    except OSError as error:
        raise UserError(
            f"{ENVIRONMENT} is '{text}', which cannot be read ({error.strerror}): "
            "set it to a folder that is there, or unset it"
        ) from None
    return folder


def data_folder(name: str) -> list[Path]:
    """Return the folders in which files of data set `name` are searched, in order. Raises UserError as `own_folder`."""
    own = own_folder()
    return [*([own / name, own] if own else []), Path(pooch.os_cache("gpvae")) / name]


def find_file(name: str, candidates: Iterable[str]) -> Path | None:
    """Return the path of the first candidate that exists, or None. Raises UserError if a folder cannot be accessed."""
    return _first([folder / candidate for folder in data_folder(name) for candidate in candidates], stat.S_ISREG)


def find_folder(name: str, candidate: str) -> Path | None:
    """Return the path of the folder `candidate`, or None. Raises UserError if a folder cannot be accessed."""
    return _first([folder / candidate for folder in data_folder(name)], stat.S_ISDIR)


def _first(paths: Iterable[Path], is_kind: Callable[[int], bool]) -> Path | None:
    """Return the first path that exists and is of this kind, or None."""
    # NOTE: `Path.is_file` would hide a PermissionError from Python 3.14 on.
    for path in paths:
        try:
            if is_kind(path.stat().st_mode):
                return path
        except PermissionError as error:
            raise cannot_read(path.parent, error) from None
        except OSError:  # not there
            continue
    return None


def missing(name: str, files: Iterable[str]) -> UserError:
    """Return the error for missing files of a data set."""
    return UserError(
        f"the files of '{name}' ({', '.join(files)}) are not there: run 'gpvae data fetch {name}', "
        f"or set {ENVIRONMENT} to a folder that holds them"
    )
