"""Exact and approximate search for the neighbours of all training images, each in its own process for its memory."""

from __future__ import annotations

import multiprocessing
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
from gpvae_core.peak import peak_bytes
from gpvae_core.progress import Progress

POINTS, PIXELS, NEIGHBOURS = 60_000, 784, 200
METHODS = ("exact", "approximate")
MOST_SECONDS, MOST_GB, LEAST_RATIO, LEAST_RECALL = 120, 3, 5, 0.95
"""Targets: seconds of the exact search, GB of either, ratio of exact to approximate time, and recall."""
TIME = {"exact": f"time (target: at most {MOST_SECONDS} s)", "approximate": "time, with building the lists"}


def pictures(points: int) -> tuple[str, Tensor]:
    """Return MNIST's training images with their name, or as many synthetic points if MNIST is not present."""
    if DATASETS.get("mnist").present():
        return "MNIST", source_of(DataConfig(name="mnist")).read().train.pixels().flatten(1)[:points]
    return "synthetic", near_a_surface(points, PIXELS)


@dataclass(frozen=True)
class SearchMeasurement:
    """Time, peak memory and result of one search."""

    data: str
    seconds: float
    gb: float | None
    table: NeighbourTable


def _search(method: str, points: int, device: str, file: Path, pipe: Connection) -> None:
    """Search in a separate process: write the table to `file`, and send progress and then the results into the pipe."""

    def report(done: int, total: int, what: str) -> None:
        pipe.send((done, total, what))

    data, x = pictures(points)
    start = time.perf_counter()
    table = find_neighbours(x, GaussianKernel(1.0), NEIGHBOURS, method=method, device=device, progress=report)
    seconds, peak = time.perf_counter() - start, peak_bytes()
    write(file, table)
    pipe.send((data, seconds, None if peak is None else peak / 1e9, "found"))


def measure(method: str, device: torch.device, file: Path, progress: Progress) -> SearchMeasurement:
    """Measure one search in a new process. Raises UserError if the process dies."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    target = str(device) if device.type == "cuda" else "cpu"
    process = context.Process(target=_search, args=(method, POINTS, target, file, theirs))
    process.start()
    theirs.close()  # so that `recv` raises EOFError if the other process dies
    try:
        while len(message := ours.recv()) == 3:
            done, total, what = message
            progress(done, total, f"{what}, {method}")
    except EOFError:
        raise UserError(f"the {method} search ended before its time; is the memory full?") from None
    finally:
        process.terminate()  # without effect unless `progress` cancelled the search
        process.join()
    data, seconds, gb, _ = message
    table = read(file)
    if table is None:
        raise UserError(f"the table of the {method} search could not be written to '{file.parent}'; is the disk full?")
    return SearchMeasurement(data, seconds, gb, table)


def rows(exact: SearchMeasurement, approximate: SearchMeasurement) -> list[Row]:
    """Return the results with their targets."""
    results: list[Row] = []
    for method, case in zip(METHODS, (exact, approximate), strict=True):
        name = f"{method}, {case.data}"
        ratio = {} if case is exact else {"ratio_to": METHODS[0], "ratio": case.seconds / exact.seconds}
        results.append(Row(name, TIME[method], case.seconds, "s", **ratio))
        if case.gb is not None:
            results.append(Row(name, f"peak memory of the process (target: at most {MOST_GB} GB)", case.gb, "GB"))
    faster = exact.seconds / approximate.seconds
    return [
        *results,
        Row(name, f"times as fast as exact (target: at least {LEAST_RATIO})", faster, "1"),
        Row(name, f"recall of all (target: at least {LEAST_RECALL})", recall(exact.table, approximate.table), "1"),
        Row(name, "recall that the search itself measured on a sample", approximate.table.recall, "1"),
    ]


@BENCHES.register("neighbours")
class NeighboursBench(Bench):
    """MAPA's 200 neighbours of 60,000 images of 784 pixels: exact and approximate; time, memory, recall."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure each method once (`repeats` is ignored); the exact search takes about a minute."""
        with tempfile.TemporaryDirectory() as folder:
            exact, approximate = (
                measure(method, device, Path(folder) / f"{method}.safetensors", progress) for method in METHODS
            )
        return rows(exact, approximate)
