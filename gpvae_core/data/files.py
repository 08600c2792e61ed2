"""The places where files of a data set lie: `GPVAE_DATA_DIR`, the cache, or a download with checksum and progress."""

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
    """Return the folder that the environment names, or None where it names none.

    Raises:
        UserError: no such folder, a file, no permission to look into it.
    """
    text = os.environ.get(ENVIRONMENT)
    if not text:
        return None
    folder = Path(os.path.expanduser(text))
    try:
        os.scandir(f"{folder}/.").close()  # the dot asks for the right to look at files, beside that to list them
    except OSError as error:
        raise UserError(
            f"{ENVIRONMENT} is '{text}', which cannot be read ({error.strerror}): "
            "set it to a folder that is there, or unset it"
        ) from None
    return folder


def data_folder(name: str) -> list[Path]:
    """Folders in which the files of data set `name` are looked for, in order. Raises UserError as `own_folder`."""
    own = own_folder()
    return [*([own / name, own] if own else []), Path(pooch.os_cache("gpvae")) / name]


def find_file(name: str, candidates: Iterable[str]) -> Path | None:
    """The first of `candidates` that is there, or None. Raises UserError where a folder cannot be looked into."""
    return _first([folder / candidate for folder in data_folder(name) for candidate in candidates], stat.S_ISREG)


def find_folder(name: str, candidate: str) -> Path | None:
    """The folder `candidate` where it is there, or None. Raises UserError where a folder cannot be looked into."""
    return _first([folder / candidate for folder in data_folder(name)], stat.S_ISDIR)


def _first(paths: Iterable[Path], is_kind: Callable[[int], bool]) -> Path | None:
    """Return the first that is there and of this kind. Not `Path.is_file`: from Python 3.14 on it hides a refusal."""
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
    """Return the error for files that are neither there nor to be had."""
    return UserError(
        f"the files of '{name}' ({', '.join(files)}) are not there: run 'gpvae data fetch {name}', "
        f"or set {ENVIRONMENT} to a folder that holds them"
    )
