"""Where the files of a data set are: `GPVAE_DATA_DIR`, the cache, or a download with checksum and progress."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pooch

from gpvae_core.errors import UserError

ENVIRONMENT = "GPVAE_DATA_DIR"


def data_folder(name: str) -> list[Path]:
    """Folders in which the files of data set `name` are looked for, in order."""
    own = os.environ.get(ENVIRONMENT)
    folders = [Path(own) / name, Path(own)] if own else []
    return [*folders, Path(pooch.os_cache("gpvae")) / name]


def find_file(name: str, candidates: Iterable[str]) -> Path | None:
    """The first of `candidates` that is there, or None."""
    for folder in data_folder(name):
        for candidate in candidates:
            if (folder / candidate).is_file():
                return folder / candidate
    return None


def missing(name: str, files: Iterable[str]) -> UserError:
    """The error for files that are neither there nor to be had."""
    return UserError(
        f"the files of '{name}' ({', '.join(files)}) are not there: run 'gpvae data fetch {name}', "
        f"or set {ENVIRONMENT} to a folder that holds them"
    )
