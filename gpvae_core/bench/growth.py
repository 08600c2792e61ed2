"""The cost of MAPA's neighbours against the number of training points."""

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
"""Below it constants weigh more than growth: exponents are fitted from here on."""
WAYS = ("exact", "approximate")
TIME = f"time for all points, from {QUERIES:,} queries"
EXPONENT = f"exponent of N from {FITTED_FROM:,} on"


@dataclass(frozen=True)
class GrowthPoint:
    """One way of search at one size."""

    build: float
    """Seconds, with whatever the search settles on a sample."""
    total: float
    """Seconds to build, and for the queries of all N points as long as for those of the sample."""
    index: Tensor


def measure(method: str, x: Tensor, device: torch.device) -> GrowthPoint:
    """Build the search over x, and find the neighbours of a seeded sample of it."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    chosen = order[:QUERIES]
    target = device if device.type == "cuda" else torch.device("cpu")
    task = SearchTask(x, Metric.SQUARED_DISTANCE, NEIGHBOURS, x[order[-SAMPLE:]], 0, target)
    start = time.perf_counter()
    search = SEARCHES[method](task)
    built = time.perf_counter()
    places = search.group(x[chosen]).sort(stable=True).indices
    found = nearest(search, x[chosen[places]], NEIGHBOURS, chosen[places])
    queried = time.perf_counter()
    total = built - start + (queried - built) * len(x) / len(chosen)
    return GrowthPoint(built - start, total, found.index[places.argsort()])


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds against log N by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _case(way: str, n: int) -> str:
    return f"{way}, N = {n:,}"


@BENCHES.register("growth")
class GrowthBench(DrawnBench):
    """MAPA's 200 neighbours of 1,000 to 1,000,000 points of 32 values: time against N, exact and approximate."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """One measurement of each, whatever `repeats` says. The time for all points is that for a sample, scaled up."""
        rows: list[Row] = []
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for done, n in enumerate(SIZES):
            progress(done, len(SIZES), "growth of the cost of neighbours")
            x = near_a_surface(n, DIMENSIONS)
            exact, approximate = (measure(way, x, device) for way in WAYS)
            ratio = approximate.total / exact.total
            case, other = _case("exact", n), _case("approximate", n)
            rows.append(Row(case, TIME, exact.total, "s"))
            rows.append(Row(other, TIME, approximate.total, "s", "exact", ratio))
            rows.append(Row(other, "of it to build", approximate.build, "s"))
            rows.append(Row(other, "recall", share(exact.index, approximate.index), "1"))
            for way, point in zip(WAYS, (exact, approximate), strict=True):
                seconds[way].append(point.total)
        progress(len(SIZES), len(SIZES), "growth of the cost of neighbours")
        first = next((i for i, n in enumerate(SIZES) if n >= FITTED_FROM), 0)
        return [*rows, *(Row(way, EXPONENT, exponent(SIZES[first:], seconds[way][first:]), "1") for way in WAYS)]

    def draw(self, rows: Sequence[Row]) -> go.Figure:
        """Return seconds against N on logarithmic axes."""
        values = {(row.case, row.metric): row.value for row in rows}
        curves = [
            GrowthCurve(
                way,
                SIZES,
                [values[_case(way, n), TIME] for n in SIZES],
                [values.get((_case(way, n), "recall"), 1.0) for n in SIZES],
                values[way, EXPONENT],
            )
            for way in WAYS
        ]
        words = f"{NEIGHBOURS} neighbours, {DIMENSIONS} values a point; time of all from {QUERIES:,} queries"
        return figure(curves, LIGHT, words)
