"""Tables of each point's nearest training points by a kernel's statistic (Yacoby et al. 2024, B.2).

The search is done once; the kernel's bandwidth or temperature is applied to the stored statistics afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpvae_core.device import available_devices, pick_device
from gpvae_core.errors import UserError, unknown
from gpvae_core.mapa.approximate import FaissApproximate
from gpvae_core.mapa.exact import FaissExact, TorchExact
from gpvae_core.mapa.kernels.base import Kernel, Metric
from gpvae_core.mapa.search import Search, nearest, share
from gpvae_core.mapa.sparse import SparsePosterior, is_stored, not_stored
from gpvae_core.progress import Progress, silent

REST = 64
"""Number of training points outside of each row, from which the mass of all points outside is estimated."""
QUERIES = 2048
"""Number of queries in one search; progress is reported, and Ctrl-C handled, between searches."""
SAMPLE = 256
"""Number of queries with which an approximate search is tuned, and of others on which its recall is measured."""


@dataclass(frozen=True)
class NeighbourTable:
    """The K nearest of N training points for each of B points, and a random sample of the others.

    The table stores the kernel's statistic, a squared distance or an inner product, so that it serves any bandwidth.
    """

    index: Int64[Tensor, "B K"]
    """Indices of the neighbours, nearest first; ties are ordered by index."""
    statistic: Float32[Tensor, "B K"]
    rest_statistic: Float32[Tensor, "B M"]
    """Statistic of M points that are not stored, drawn uniformly; all of them if there are at most REST."""
    n_total: int
    """Number of training points, N."""
    recall: float = 1.0
    """Share of the true K nearest points in the table; measured on a sample if the search was approximate."""

    def posterior(self, kernel: Kernel) -> SparsePosterior:
        """Return q(i|n) of eq. 8 under `kernel`, with an estimate of the mass that is not stored."""
        log_k, log_rest = kernel.log_kernel(self.statistic), kernel.log_kernel(self.rest_statistic)
        others, drawn = self.n_total - self.index.shape[1], self.rest_statistic.shape[1]
        # The sum of k over the N - K others is estimated by (N - K) times its mean over the M drawn.
        log_tail = torch.logsumexp(log_rest, 1) + (math.log(others / drawn) if drawn else 0.0)
        return SparsePosterior.normalized(self.index, log_k, log_tail, self.n_total)

    def rows(self, points: Int64[Tensor, " b"]) -> NeighbourTable:
        """Return the rows of the table for the points with these indices."""
        return NeighbourTable(
            self.index[points], self.statistic[points], self.rest_statistic[points], self.n_total, self.recall
        )


def recall(exact: NeighbourTable, table: NeighbourTable) -> float:
    """Return the share of the exact neighbours that `table` contains, for the same points."""
    return share(exact.index, table.index)


@dataclass(frozen=True)
class SearchTask:
    """The vectors, the metric and a sample of the queries for which a search is built."""

    vectors: Float32[Tensor, "N Q"]
    metric: Metric
    k: int
    sample: Float32[Tensor, "b Q"]
    """A sample of the queries, with which an approximate search is tuned."""
    seed: int
    device: torch.device


def _exact(task: SearchTask) -> Search:
    if task.device.type == "cpu":
        return FaissExact(task.vectors, task.metric)
    return TorchExact(task.vectors, task.metric, task.device)


def _approximate(task: SearchTask) -> Search:
    return FaissApproximate(task.vectors, task.metric, task.sample, task.k, task.seed)


SEARCHES: dict[str, Callable[[SearchTask], Search]] = {"exact": _exact, "approximate": _approximate}


def find_neighbours(
    x_train: Float[Tensor, "N P"],
    kernel: Kernel,
    k: int,
    x: Float[Tensor, "B Q"] | None = None,
    method: str = "exact",
    seed: int = 0,
    progress: Progress = silent,
    device: str | None = None,
) -> NeighbourTable:
    """Return a table of the k nearest training points of each point of `x`, by default of each training point.

    Args:
        method: "exact", or "approximate" for many points (the table then states its recall).
        seed: seed of the sample of points that are not stored, and of the approximate search.
        device: "cpu" (FAISS on all cores) or "cuda"; by default CUDA if available.

    Raises:
        UserError: k is not from 1 to N, there are no training points, the kernel is not defined for some values, the
            points differ in size, or the method is unknown.
    """
    _check(x_train, k, x)
    if method not in SEARCHES:
        raise unknown("search", method, SEARCHES)
    kernel.check(x_train)
    if x is not None:
        kernel.check(x)
    vectors = kernel.indexed(x_train.cpu())
    points = x_train if x is None else x
    progress(0, len(points), "finding neighbours")
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    sample = kernel.queried(points[order[:SAMPLE]].cpu())
    search = SEARCHES[method](SearchTask(vectors, kernel.metric, k, sample, seed, _device(device)))
    table = _table(search, kernel, points, k, x is None, seed, progress)
    # Recall is measured on other queries than those with which the search was tuned (if there are 2 * SAMPLE).
    checked = order[-SAMPLE:]
    own = checked if x is None else None
    return replace(table, recall=search.recall(kernel.queried(points[checked].cpu()), table.index[checked], own))


def _device(name: str | None) -> torch.device:
    """Return the named device; by default CUDA if available, else the CPU, where FAISS beats other accelerators."""
    cuda = [device for device in available_devices() if device.startswith("cuda")]
    return pick_device(name or (cuda or ["cpu"])[0])


def _table(
    search: Search, kernel: Kernel, x: Tensor, k: int, own: bool, seed: int, progress: Progress
) -> NeighbourTable:
    size, others = len(x), search.size - k
    index = torch.empty(size, k, dtype=torch.int64)
    statistic = torch.empty(size, k, dtype=torch.float32)
    rest = torch.empty(size, min(others, REST), dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    done = 0
    for rows in _order(search, kernel, x).split(QUERIES):
        progress(done, size, "finding neighbours")
        queries = kernel.queried(x[rows].cpu())
        neighbours = nearest(search, queries, k, rows if own else None)
        index[rows], statistic[rows] = neighbours.index, neighbours.statistic
        rest[rows] = search.pairs(queries, _others(neighbours.index, search.size, generator))
        done += len(rows)
    progress(size, size, "finding neighbours")
    return NeighbourTable(index, statistic, rest, search.size)


def _order(search: Search, kernel: Kernel, x: Tensor) -> Int64[Tensor, " B"]:
    """Return an order of the rows in which queries that read the same memory follow each other."""
    groups = [search.group(kernel.queried(part.cpu())) for part in x.split(QUERIES)]
    return torch.cat(groups).sort(stable=True).indices


def _others(index: Int64[Tensor, "b K"], n_total: int, generator: torch.Generator) -> Int64[Tensor, "b M"]:
    """Return training points that are not stored: all if there are at most REST, else REST drawn with replacement.

    The draws of each row are uniform over the points it has not stored.
    """
    b, others = len(index), n_total - index.shape[1]
    ordered = index.sort(1).values
    if others <= REST:
        return not_stored(ordered, torch.arange(others).repeat(b, 1))
    # All rows share their draws, whose vectors then stay in the processor's cache. A row that has stored one of the
    # shared points replaces it by a draw of its own: rejection, after which draws are uniform over the others.
    shared = torch.randint(n_total, (REST,), generator=generator).repeat(b, 1)
    own = not_stored(ordered, torch.randint(others, (b, REST), generator=generator))
    return torch.where(is_stored(ordered, shared), own, shared)


def _check(x_train: Tensor, k: int, x: Tensor | None) -> None:
    if len(x_train) == 0 or x_train.shape[1] == 0:
        raise UserError(f"wanted training points, got {tuple(x_train.shape)}; is the training split empty?")
    if x is not None and len(x) == 0:
        raise UserError("wanted points to find neighbours of, got none; is the split empty?")
    if not 1 <= k <= len(x_train):
        raise UserError(f"wanted from 1 to {len(x_train)} neighbours, the number of training points, got {k}")
    if x is not None and x.shape[1] != x_train.shape[1]:
        raise UserError(
            f"wanted points of {x_train.shape[1]} values as in training, got {x.shape[1]}; is it another data set?"
        )
