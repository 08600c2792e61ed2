"""Disk cache of computed arrays in the run folder, under a hash of everything they depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gpvae_core.files import write_cached
from gpvae_core.hashes import hexdigest
from gpvae_core.reading import DAMAGE, read_arrays

VERSION = 1
"""Version of the stages' results; increasing it invalidates the files of older versions."""
MAX_BYTES = 2_000_000_000
"""Most bytes of a stage's arrays that are read."""
FILES_PER_STAGE = 3
"""Number of files kept per stage: a run in training has new weights, and with them new files, every epoch."""


def fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers by name; models with equal weights share it."""
    state = sorted(model.state_dict().items())
    # NOTE: `ascontiguousarray` turns a scalar into an array of shape (1,), and the shape is part of the hash.
    named = ((name, np.ascontiguousarray(value.detach().cpu().numpy())) for name, value in state)
    return hexdigest(part for name, a in named for part in (f"{name} {a.dtype} {a.shape}", a.tobytes()))


class DiskCache:
    """Cache files RUN/explore/<stage>-<hash>.npz; unreadable files count as missing, failed writes are ignored."""

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        self._folder = folder
        self._depends_on = {**depends_on, "version": VERSION}

    def path(self, stage: str, settings: Mapping[str, Any]) -> Path:
        """Return the path of a stage's file for these settings."""
        text = json.dumps({**self._depends_on, "stage": stage, "settings": dict(settings)}, sort_keys=True)
        return self._folder / f"{stage}-{hexdigest([text])[:24]}.npz"

    def read(self, stage: str, settings: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the arrays of a stage; None if the file is missing, damaged, or was renamed from another key."""
        path = self.path(stage, settings)
        try:
            arrays = read_arrays(path, MAX_BYTES)
        except DAMAGE:
            return None
        key = arrays.pop("key", None)
        return arrays if key is not None and str(key) == path.stem else None

    def write(self, stage: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write the arrays of a stage and delete its oldest files; a read-only or full disk is not an error."""
        path = self.path(stage, settings)
        if write_cached(path, lambda file: np.savez(file, allow_pickle=False, key=np.array(path.stem), **arrays)):
            with suppress(OSError):
                self._evict(stage)

    def _evict(self, stage: str) -> None:
        files = sorted(self._folder.glob(f"{stage}-*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[FILES_PER_STAGE:]:
            file.unlink(missing_ok=True)
