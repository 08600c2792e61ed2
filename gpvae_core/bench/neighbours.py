"""MAPA's neighbours of all training images: exact and approximate, each in a process of its own for its memory."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.bench.surface import near_a_surface
from gpvae_core.data.base import DATASETS, DataConfig, source_of
from gpvae_core.errors import UserError
from gpvae_core.mapa.cache import read, write
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours, recall
from gpvae_core.progress import Progress

POINTS, PIXELS, NEIGHBOURS = 60_000, 784, 200
WAYS = ("exact", "approximate")
MOST_SECONDS, MOST_GB, LEAST_RATIO, LEAST_RECALL = 120, 3, 5, 0.95
"""Targets: seconds of the exact search, GB of either, exact over approximate in seconds, and recall."""
TIME = {"exact": f"time (target: at most {MOST_SECONDS} s)", "approximate": "time, with building the lists"}


def pictures(points: int) -> tuple[str, Tensor]:
    """MNIST's training images where they are there, else as many points of as many values."""
    if DATASETS.get("mnist").present():
        return "MNIST", source_of(DataConfig(name="mnist")).read().train.pixels().flatten(1)[:points]
    return "synthetic", near_a_surface(points, PIXELS)


def peak_gb() -> float | None:
    """Return the most memory that this process has had; None on Windows, which does not say."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


@dataclass(frozen=True)
class SearchMeasurement:
    """One search."""

    data: str
    seconds: float
    gb: float | None
    table: NeighbourTable


def _search(method: str, points: int, device: str, file: Path, pipe: Connection) -> None:
    """Search in a process of its own. The table goes to a file; progress, and in the end the figures, into the pipe."""

    def report(done: int, total: int, what: str) -> None:
        pipe.send((done, total, what))

    data, x = pictures(points)
    start = time.perf_counter()
    table = find_neighbours(x, GaussianKernel(1.0), NEIGHBOURS, method=method, device=device, progress=report)
    seconds, gb = time.perf_counter() - start, peak_gb()
    write(file, table)
    pipe.send((data, seconds, gb, "found"))


def measure(method: str, device: torch.device, file: Path, progress: Progress) -> SearchMeasurement:
    """Return one search in a fresh process. Raises UserError where that ends before its time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    target = str(device) if device.type == "cuda" else "cpu"
    process = context.Process(target=_search, args=(method, POINTS, target, file, theirs))
    process.start()
    theirs.close()
    try:
        while len(message := ours.recv()) == 3:
            done, total, what = message
            progress(done, total, f"{what}, {method}")
    except EOFError:
        raise UserError(f"the {method} search ended before its time; is the memory full?") from None
    finally:
        process.terminate()  # it has ended, unless progress was cancelled
        process.join()
    data, seconds, gb, _ = message
    table = read(file)
    if table is None:
        raise UserError(f"the table of the {method} search could not be written to '{file.parent}'; is the disk full?")
    return SearchMeasurement(data, seconds, gb, table)


def rows(exact: SearchMeasurement, approximate: SearchMeasurement) -> list[Row]:
    """Return the figures beside their targets."""
    found: list[Row] = []
    for method, case in zip(WAYS, (exact, approximate), strict=True):
        name = f"{method}, {case.data}"
        ratio = {} if case is exact else {"ratio_to": WAYS[0], "ratio": case.seconds / exact.seconds}
        found.append(Row(name, TIME[method], case.seconds, "s", **ratio))
        if case.gb is not None:
            found.append(Row(name, f"peak memory of the process (target: at most {MOST_GB} GB)", case.gb, "GB"))
    faster = exact.seconds / approximate.seconds
    return [
        *found,
        Row(name, f"times as fast as exact (target: at least {LEAST_RATIO})", faster, "1"),
        Row(name, f"recall of all (target: at least {LEAST_RECALL})", recall(exact.table, approximate.table), "1"),
        Row(name, "recall that the search itself measured on a sample", approximate.table.recall, "1"),
    ]


@BENCHES.register("neighbours")
class NeighboursBench(Bench):
    """MAPA's 200 neighbours of 60,000 images of 784 pixels: exact and approximate; time, memory, recall."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Return one search of each, whatever `repeats` says: the exact one takes about a minute."""
        with tempfile.TemporaryDirectory() as folder:
            exact, approximate = (
                measure(method, device, Path(folder) / f"{method}.safetensors", progress) for method in WAYS
            )
        return rows(exact, approximate)
