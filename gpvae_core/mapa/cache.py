"""Neighbour tables kept on disk: they depend on the data alone, not on the kernel's width (Yacoby et al. 2024, 5).

They lie in the user's cache folder (on Linux that of XDG_CACHE_HOME) under a name that hashes all they depend on.
What cannot be read is computed again, what cannot be written is not kept.
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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gpvae_core.files import write_cached
from gpvae_core.hashes import hexdigest
from gpvae_core.mapa.kernels.base import Kernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.progress import Progress, silent

VERSION = 1
"""Raised when what a search finds changes, so that older files are not read."""
KEPT_BYTES = 4 << 30
"""Size of all tables together; the longest unused go first. One of 60,000 points and 200 neighbours has 111 MB."""
ABANDONED = 86400
"""Seconds after which a temporary file is nobody's."""
ROWS = 4096


def cache_folder() -> Path:
    """Return where tables are kept unless another folder is named."""
    return Path(pooch.os_cache("gpvae")) / "neighbours"


def fingerprint(x: Float[Tensor, "N P"]) -> str:
    """Return the SHA-256 of shape, type and values."""
    values = (part.cpu().contiguous().numpy().data for part in x.split(ROWS))
    return hexdigest(chain([f"{tuple(x.shape)} {x.dtype}"], values))


def key(
    x_train: Float[Tensor, "N P"], kernel: Kernel, k: int, x: Float[Tensor, "B Q"] | None, method: str, seed: int
) -> str:
    """Return a hash of all that a table depends on: the points, and of the kernel what the search depends on."""
    depends_on = {
        "version": VERSION,
        "train": fingerprint(x_train),
        "points": None if x is None else fingerprint(x),
        "kernel": type(kernel).__name__,
        "settings": kernel.settings(),
        "k": k,
        "how": method,  # NOTE: the old name of the field; with another one all stored tables would be searched anew
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
    """`find_neighbours` with the same arguments, from the disk where it was found before.

    Raises:
        UserError: as `find_neighbours`.
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
    """Return SHA-256 of all values, by which a file damaged in the middle is known."""
    named = sorted(tensors.items())
    return hexdigest(part for name, t in named for part in (f"{name} {tuple(t.shape)}", t.numpy().data))


def read(path: Path) -> NeighbourTable | None:
    """Return the table of a file; None where there is none, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            digest = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    if digest != _digest(tensors):
        return None
    with suppress(OSError):
        os.utime(path)
    return NeighbourTable(
        tensors["index"].long(),
        tensors["statistic"],
        tensors["rest_statistic"],
        int(tensors["n_total"]),
        float(tensors["recall"]),
    )


def write(path: Path, table: NeighbourTable) -> None:
    """Write under a temporary name, then rename; a read-only or full disk is no error."""
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
            _forget_old(path.parent)


def _forget_old(folder: Path) -> None:
    """The longest unused tables beyond KEPT_BYTES, and what a killed program left behind."""
    for file in folder.glob(".*.tmp"):
        if time.time() - file.stat().st_mtime > ABANDONED:
            file.unlink(missing_ok=True)
    files = [(file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.safetensors")]
    total = 0
    for _, size, file in sorted(files, reverse=True):
        total += size
        if total > KEPT_BYTES:
            file.unlink(missing_ok=True)
