"""Disk cache of neighbour tables, which depend on the data but not on the kernel's width (Yacoby et al. 2024, 5).

Tables are stored in the user's cache folder (on Linux XDG_CACHE_HOME) under a hash of everything they depend on. A
table that cannot be read is computed again, and one that cannot be written is not cached.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pooch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gpvae_core.files import write_cached
from gpvae_core.hashes import hexdigest
from gpvae_core.mapa.kernels.base import Kernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.parsing import parse_json
from gpvae_core.progress import Progress, silent
from gpvae_core.reading import read_bytes

VERSION = 1
"""Version of the searches' results; increasing it invalidates the files of older versions."""
KEPT_BYTES = 4 << 30
"""Largest total size of the cache, and of a table that is read. One of 60,000 points and 200 neighbours has 111 MB."""
ABANDONED = 86400
"""Age in seconds at which a temporary file counts as left behind by a killed process."""
ROWS = 4096
"""Number of rows hashed in one batch."""
TYPES = {
    "index": torch.int32,
    "statistic": torch.float32,
    "rest_statistic": torch.float32,
    "n_total": torch.int64,
    "recall": torch.float64,
}
"""Tensors of a table and their types."""


def cache_folder() -> Path:
    """Return the default folder of the cache."""
    return Path(pooch.os_cache("gpvae")) / "neighbours"


def fingerprint(x: Float[Tensor, "N P"]) -> str:
    """Return the SHA-256 of the shape, type and values of `x`."""
    values = (part.cpu().contiguous().numpy().data for part in x.split(ROWS))
    return hexdigest(chain([f"{tuple(x.shape)} {x.dtype}"], values))


def key(
    x_train: Float[Tensor, "N P"], kernel: Kernel, k: int, x: Float[Tensor, "B Q"] | None, method: str, seed: int
) -> str:
    """Return a hash of everything a table depends on: the points, the search and the kernel's search settings."""
    depends_on = {
        "version": VERSION,
        "train": fingerprint(x_train),
        "points": None if x is None else fingerprint(x),
        "kernel": type(kernel).__name__,
        "settings": kernel.settings(),
        "k": k,
        "how": method,  # NOTE: renaming this key would change all hashes and invalidate every cached table
        "seed": seed,
    }
    return hexdigest([json.dumps(depends_on, sort_keys=True)])[:32]


def load_or_find(
    x_train: Float[Tensor, "N P"],
    kernel: Kernel,
    k: int,
    x: Float[Tensor, "B Q"] | None = None,
    *,
    method: str = "exact",
    seed: int = 0,
    progress: Progress = silent,
    device: str | None = None,
    folder: Path | None = None,
) -> NeighbourTable:
    """Return the cached result of `find_neighbours` with these arguments; compute and cache it if there is none.

    Raises:
        UserError: as `find_neighbours` does.
    """
    kernel.check(x_train)
    if x is not None:
        kernel.check(x)
    path = (folder or cache_folder()) / f"{key(x_train, kernel, k, x, method, seed)}.safetensors"
    table = read(path)
    if table is None:
        table = find_neighbours(x_train, kernel, k, x, method, seed, progress, device)
        write(path, table)
    return table


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all names, shapes and values, which detects damaged files."""
    named = sorted(tensors.items())
    return hexdigest(part for name, t in named for part in (f"{name} {tuple(t.shape)}", t.numpy().data))


def read(path: Path) -> NeighbourTable | None:
    """Return the table in a file; None if the file is missing, damaged, no regular file or larger than the cache."""
    try:
        content = read_bytes(path, KEPT_BYTES)
        tensors = load(content)
        header = content[8 : 8 + int.from_bytes(content[:8], "little")]
        digest = parse_json(header.decode()).get("__metadata__", {}).get("sha256")
    except (OSError, SafetensorError, ValueError):
        return None
    if {name: value.dtype for name, value in tensors.items()} != TYPES or digest != _digest(tensors):
        return None
    with suppress(OSError):
        os.utime(path)  # mark as used: the cache evicts the least recently used tables first
    return NeighbourTable(
        tensors["index"].long(),
        tensors["statistic"],
        tensors["rest_statistic"],
        int(tensors["n_total"]),
        float(tensors["recall"]),
    )


def write(path: Path, table: NeighbourTable) -> None:
    """Cache a table under `path` and evict old ones; a read-only or full disk is not an error."""
    tensors = {
        "index": table.index.int(),
        "statistic": table.statistic.contiguous(),
        "rest_statistic": table.rest_statistic.contiguous(),
        "n_total": torch.tensor(table.n_total),
        "recall": torch.tensor(table.recall, dtype=torch.float64),
    }
    content = save(tensors, {"sha256": _digest(tensors)})
    if write_cached(path, lambda file: file.write(content)):
        with suppress(OSError):
            _evict(path.parent)


def _evict(folder: Path) -> None:
    """Delete the least recently used tables beyond KEPT_BYTES, and the temporary files of killed processes."""
    for file in folder.glob(".*.tmp"):
        if time.time() - file.stat().st_mtime > ABANDONED:
            file.unlink(missing_ok=True)
    files = [(file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.safetensors")]
    total = 0
    for _, size, file in sorted(files, reverse=True):
        total += size
        if total > KEPT_BYTES:
            file.unlink(missing_ok=True)
