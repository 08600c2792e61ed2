"""Time of MAPA's search for neighbours against the number of training points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from gpvae_core.bench.base import BENCHES, DrawnBench, Row
from gpvae_core.bench.surface import near_a_surface
from gpvae_core.mapa.kernels.base import Metric
from gpvae_core.mapa.neighbours import SAMPLE, SEARCHES, SearchTask
from gpvae_core.mapa.search import nearest, share
from gpvae_core.plots.growth import GrowthCurve, figure
from gpvae_core.plots.theme import LIGHT
from gpvae_core.progress import Progress

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
DIMENSIONS, NEIGHBOURS, QUERIES = 32, 200, 1024
FITTED_FROM = 10_000
"""Smallest N in the fit of the exponents; below it, constant costs dominate."""
METHODS = ("exact", "approximate")
TIME = f"time for all points, from {QUERIES:,} queries"
EXPONENT = f"exponent of N from {FITTED_FROM:,} on"


@dataclass(frozen=True)
class GrowthPoint:
    """Time of one search method at one size."""

    build: float
    """Seconds to build the index, including its tuning."""
    total: float
    """Seconds to build the index and search for all N points, extrapolated from a sample of queries."""
    index: Tensor
    """Neighbours of the sample's queries."""


def measure(method: str, x: Tensor, device: torch.device) -> GrowthPoint:
    """Time a search over x for the neighbours of a seeded sample of its points."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    queries = order[:QUERIES]
    target = device if device.type == "cuda" else torch.device("cpu")
    task = SearchTask(x, Metric.SQUARED_DISTANCE, NEIGHBOURS, x[order[-SAMPLE:]], 0, target)
    start = time.perf_counter()
    search = SEARCHES[method](task)
    built = time.perf_counter()
    by_group = search.group(x[queries]).sort(stable=True).indices
    neighbours = nearest(search, x[queries[by_group]], NEIGHBOURS, queries[by_group])
    queried = time.perf_counter()
    total = built - start + (queried - built) * len(x) / len(queries)
    return GrowthPoint(built - start, total, neighbours.index[by_group.argsort()])


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the exponent b of seconds ~ N^b: the least-squares slope of log seconds against log N."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _case(method: str, n: int) -> str:
    return f"{method}, N = {n:,}"


@BENCHES.register("growth")
class GrowthBench(DrawnBench):
    """MAPA's 200 neighbours of 1,000 to 1,000,000 points of 32 values: time against N, exact and approximate."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure each method once at each size (`repeats` is ignored), extrapolating from a sample of queries."""
        rows: list[Row] = []
        seconds: dict[str, list[float]] = {method: [] for method in METHODS}
        for done, n in enumerate(SIZES):
            progress(done, len(SIZES), "growth of the cost of neighbours")
            x = near_a_surface(n, DIMENSIONS)
            exact, approximate = (measure(method, x, device) for method in METHODS)
            ratio = approximate.total / exact.total
            case, other = _case("exact", n), _case("approximate", n)
            rows.append(Row(case, TIME, exact.total, "s"))
            rows.append(Row(other, TIME, approximate.total, "s", "exact", ratio))
            rows.append(Row(other, "of it to build", approximate.build, "s"))
            rows.append(Row(other, "recall", share(exact.index, approximate.index), "1"))
            for method, point in zip(METHODS, (exact, approximate), strict=True):
                seconds[method].append(point.total)
        progress(len(SIZES), len(SIZES), "growth of the cost of neighbours")
        first = next((i for i, n in enumerate(SIZES) if n >= FITTED_FROM), 0)
        exponents = {method: exponent(SIZES[first:], values[first:]) for method, values in seconds.items()}
        return [*rows, *(Row(method, EXPONENT, value, "1") for method, value in exponents.items())]

    def draw(self, rows: Sequence[Row]) -> go.Figure:
        """Return the figure of seconds against N, on logarithmic axes."""
        values = {(row.case, row.metric): row.value for row in rows}
        curves = [
            GrowthCurve(
                method,
                SIZES,
                [values[_case(method, n), TIME] for n in SIZES],
                [values.get((_case(method, n), "recall"), 1.0) for n in SIZES],
                values[method, EXPONENT],
            )
            for method in METHODS
        ]
        words = f"{NEIGHBOURS} neighbours, {DIMENSIONS} values a point; time of all from {QUERIES:,} queries"
        return figure(curves, LIGHT, words)
