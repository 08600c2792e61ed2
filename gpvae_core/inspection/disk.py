"""Computed arrays kept in the run folder, under a name that hashes all they depend on."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gpvae_core.files import write_cached
from gpvae_core.hashes import hexdigest

VERSION = 1
"""Raised when what a stage computes changes, so that older files are not read."""
KEPT = 3
"""Files kept per stage: a run that is still being trained has new weights again and again."""


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers by name; two models with equal weights share it."""
    state = sorted(model.state_dict().items())
    # NOTE: a scalar becomes an array of shape (1,), and its shape is a part of the hash
    named = ((name, np.ascontiguousarray(value.detach().cpu().numpy())) for name, value in state)
    return hexdigest(part for name, a in named for part in (f"{name} {a.dtype} {a.shape}", a.tobytes()))


class DiskCache:
    """RUN/explore/<stage>-<hash>.npz. What cannot be read is computed again, what cannot be written is not cached."""

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        self._folder = folder
        self._depends_on = {**depends_on, "version": VERSION}

    def path(self, stage: str, settings: Mapping[str, Any]) -> Path:
        """Return the file of a stage under these settings."""
        text = json.dumps({**self._depends_on, "stage": stage, "settings": dict(settings)}, sort_keys=True)
        return self._folder / f"{stage}-{hexdigest([text])[:24]}.npz"

    def read(self, stage: str, settings: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """The arrays of a stage; None where there are none, or the file is damaged or another's under this name."""
        path = self.path(stage, settings)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        key = arrays.pop("key", None)
        return arrays if key is not None and str(key) == path.stem else None

    def write(self, stage: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write under a temporary name, then rename; a read-only or full disk is no error."""
        path = self.path(stage, settings)
        if write_cached(path, lambda file: np.savez(file, allow_pickle=False, key=np.array(path.stem), **arrays)):
            with suppress(OSError):
                self._forget_old(stage)

    def _forget_old(self, stage: str) -> None:
        files = sorted(self._folder.glob(f"{stage}-*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[KEPT:]:
            file.unlink(missing_ok=True)
