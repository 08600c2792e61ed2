"""Each point's nearest training points by the kernel's statistic, found once; its settings are applied after (B.2)."""

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
"""Training points outside of the table, for each row, from which the mass of all of these is estimated."""
QUERIES = 2048
"""Points searched for together: progress and Ctrl-C come between."""


SAMPLE = 256
"""Points on which an approximate search is settled, and others on which its recall is measured."""


@dataclass(frozen=True)
class NeighbourTable:
    """The K nearest of N training points for each of B points, and a sample of the others.

    The statistic is the kernel's, a squared distance or an inner product; so one table serves every bandwidth.
    """

    index: Int64[Tensor, "B K"]
    """Nearest first; by index where equally near."""
    statistic: Float32[Tensor, "B K"]
    rest_statistic: Float32[Tensor, "B M"]
    """Statistic of M points that are not stored, drawn evenly; all of them where there are no more than REST."""
    n_total: int
    """N."""
    recall: float = 1.0
    """Share of the true K nearest that the table has, measured on a sample where the search was approximate."""

    def posterior(self, kernel: Kernel) -> SparsePosterior:
        """Return q(i|n) of eq. 8 under `kernel`; what is not stored has (N - K) times the mean k of the sample."""
        log_k, log_rest = kernel.log_kernel(self.statistic), kernel.log_kernel(self.rest_statistic)
        others, drawn = self.n_total - self.index.shape[1], self.rest_statistic.shape[1]
        log_tail = torch.logsumexp(log_rest, 1) + (math.log(others / drawn) if drawn else 0.0)
        return SparsePosterior.of(self.index, log_k, log_tail, self.n_total)

    def rows(self, which: Int64[Tensor, " b"]) -> NeighbourTable:
        """Return the table of some of the points."""
        return NeighbourTable(
            self.index[which], self.statistic[which], self.rest_statistic[which], self.n_total, self.recall
        )


def recall(exact: NeighbourTable, table: NeighbourTable) -> float:
    """Return share of the exact table's neighbours that the other has, for the same points."""
    return share(exact.index, table.index)


@dataclass(frozen=True)
class Task:
    """The vectors, the metric and the queries that a search is prepared for."""

    vectors: Float32[Tensor, "N Q"]
    metric: Metric
    k: int
    sample: Float32[Tensor, "b Q"]
    """Some of the queries to come."""
    seed: int
    device: torch.device


def _exact(task: Task) -> Search:
    if task.device.type == "cpu":
        return FaissExact(task.vectors, task.metric)
    return TorchExact(task.vectors, task.metric, task.device)


def _approximate(task: Task) -> Search:
    return FaissApproximate(task.vectors, task.metric, task.sample, task.k, task.seed)


SEARCHES: dict[str, Callable[[Task], Search]] = {"exact": _exact, "approximate": _approximate}


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
    """Return the k nearest training points of each point of `x`, or of each training point.

    Args:
        method: "exact", or "approximate" for many points (see `recall` of the table).
        seed: of the sample of what is not stored, and of the approximate search.
        device: "cpu" (FAISS on all cores) or "cuda"; without it CUDA where there is one.

    Raises:
        UserError: k that is not from 1 to N, no training points, values that the kernel does not take, points of
            another size, an unknown way of search.
    """
    _check(x_train, k, x)
    if method not in SEARCHES:
        raise unknown("search", method, SEARCHES)
    kernel.check(x_train)
    if x is not None:
        kernel.check(x)
    vectors = kernel.indexed(x_train.cpu())
    wanted = x_train if x is None else x
    progress(0, len(wanted), "finding neighbours")
    order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(seed))
    sample = kernel.queried(wanted[order[:SAMPLE]].cpu())
    search = SEARCHES[method](Task(vectors, kernel.metric, k, sample, seed, _device(device)))
    table = _table(search, kernel, wanted, k, x is None, seed, progress)
    measured = order[-SAMPLE:]
    own = measured if x is None else None
    found = search.recall(kernel.queried(wanted[measured].cpu()), table.index[measured], own)
    return replace(table, recall=found)


def _device(name: str | None) -> torch.device:
    """CUDA where there is one; other accelerators are not faster at this than FAISS."""
    cuda = [found for found in available_devices() if found.startswith("cuda")]
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
        found = nearest(search, queries, k, rows if own else None)
        index[rows], statistic[rows] = found.index, found.statistic
        rest[rows] = search.pairs(queries, _others(found.index, search.size, generator))
        done += len(rows)
    progress(size, size, "finding neighbours")
    return NeighbourTable(index, statistic, rest, search.size)


def _order(search: Search, kernel: Kernel, x: Tensor) -> Int64[Tensor, " B"]:
    """Return rows in the order in which they are best searched for."""
    places = [search.place(kernel.queried(part.cpu())) for part in x.split(QUERIES)]
    return torch.cat(places).sort(stable=True).indices


def _others(index: Int64[Tensor, "b K"], n_total: int, generator: torch.Generator) -> Int64[Tensor, "b M"]:
    """Return training points that are not stored: all where they are few, else REST drawn evenly with replacement.

    The rows are given the same draws, whose vectors then stay in the processor's cache; a row that has stored one of
    them draws another. Each row's are evenly distributed over what it has not stored.
    """
    b, others = len(index), n_total - index.shape[1]
    ordered = index.sort(1).values
    if others <= REST:
        return not_stored(ordered, torch.arange(others).repeat(b, 1))
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
