"""Each point's nearest training points by the kernel's statistic, found once; its settings are applied after (B.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpvae_core.device import available_devices, pick_device
from gpvae_core.errors import UserError, unknown
from gpvae_core.mapa.exact import FaissExact, TorchExact
from gpvae_core.mapa.kernels.base import Kernel, Metric
from gpvae_core.mapa.search import Search, nearest
from gpvae_core.mapa.sparse import SparsePosterior, not_stored
from gpvae_core.progress import Progress, silent

REST = 64
"""Training points outside of the table, for each row, from which the mass of all of these is estimated."""
QUERIES = 2048
"""Points searched for together: progress and Ctrl-C come between."""


@dataclass(frozen=True)
class NeighbourTable:
    """The K nearest of N training points for each of B points, and a sample of the others.

    The statistic is the kernel's, a squared distance or an inner product; so one table serves every bandwidth.
    """

    index: Int64[Tensor, "B K"]
    """Nearest first; by index where equally near."""
    statistic: Float32[Tensor, "B K"]
    rest_statistic: Float32[Tensor, "B M"]
    """Of M training points that are not stored, drawn evenly; all of them where there are no more than REST."""
    n_total: int
    """N."""
    recall: float = 1.0
    """Share of the true K nearest that the table has, measured on a sample where the search was approximate."""

    def posterior(self, kernel: Kernel) -> SparsePosterior:
        """q(i|n) of eq. 8 under `kernel`; what is not stored has (N - K) times the mean k of the sample."""
        log_k, log_rest = kernel.log_kernel(self.statistic), kernel.log_kernel(self.rest_statistic)
        others, drawn = self.n_total - self.index.shape[1], self.rest_statistic.shape[1]
        log_tail = torch.logsumexp(log_rest, 1) + (math.log(others / drawn) if drawn else 0.0)
        return SparsePosterior.of(self.index, log_k, log_tail, self.n_total)

    def rows(self, which: Int64[Tensor, " b"]) -> NeighbourTable:
        """The table of some of the points."""
        return NeighbourTable(
            self.index[which], self.statistic[which], self.rest_statistic[which], self.n_total, self.recall
        )


def recall(exact: NeighbourTable, table: NeighbourTable) -> float:
    """Share of the exact table's neighbours that the other has, for the same points."""
    both = torch.cat([exact.index, table.index], dim=1).sort(1).values
    return float((both[:, 1:] == both[:, :-1]).sum() / exact.index.numel())


def _exact(vectors: Tensor, metric: Metric, seed: int, device: torch.device) -> Search:
    return FaissExact(vectors, metric) if device.type == "cpu" else TorchExact(vectors, metric, device)


SEARCHES: dict[str, Callable[[Tensor, Metric, int, torch.device], Search]] = {"exact": _exact}


def find_neighbours(
    x_train: Float[Tensor, "N P"],
    kernel: Kernel,
    k: int,
    x: Float[Tensor, "B P"] | None = None,
    how: str = "exact",
    seed: int = 0,
    progress: Progress = silent,
    device: str | None = None,
) -> NeighbourTable:
    """The k nearest training points of each point of `x`, or of each training point.

    Args:
        how: "exact", or "approximate" for many points (see `recall` of the table).
        seed: of the sample of what is not stored, and of the approximate search.
        device: "cpu" (FAISS on all cores) or "cuda"; without it CUDA where there is one.

    Raises:
        UserError: k that is not from 1 to N, no training points, values that the kernel does not take, points of
            another size, an unknown way of search.
    """
    _check(x_train, k, x)
    if how not in SEARCHES:
        raise unknown("search", how, SEARCHES)
    kernel.check(x_train)
    if x is not None:
        kernel.check(x)
    vectors = kernel.indexed(x_train.cpu())
    search = SEARCHES[how](vectors, kernel.metric, seed, _device(device))
    return _table(search, kernel, x_train if x is None else x, k, x is None, seed, progress)


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
    for start in range(0, size, QUERIES):
        progress(start, size, "finding neighbours")
        part = slice(start, min(start + QUERIES, size))
        queries = kernel.queried(x[part].cpu())
        found = nearest(search, queries, k, torch.arange(part.start, part.stop) if own else None)
        index[part], statistic[part] = found.index, found.statistic
        rest[part] = search.pairs(queries, not_stored(found.index, _ranks(len(queries), others, generator)))
    progress(size, size, "finding neighbours")
    return NeighbourTable(index, statistic, rest, search.size)


def _ranks(b: int, others: int, generator: torch.Generator) -> Int64[Tensor, "b M"]:
    """Which of the others to look at: all where they are few, else drawn with replacement."""
    if others <= REST:
        return torch.arange(others).repeat(b, 1)
    return torch.randint(others, (b, REST), generator=generator)


def _check(x_train: Tensor, k: int, x: Tensor | None) -> None:
    if len(x_train) == 0 or x_train.shape[1] == 0:
        raise UserError(f"wanted training points, got {tuple(x_train.shape)}; is the training split empty?")
    if not 1 <= k <= len(x_train):
        raise UserError(f"wanted from 1 to {len(x_train)} neighbours, the number of training points, got {k}")
    if x is not None and x.shape[1] != x_train.shape[1]:
        raise UserError(
            f"wanted points of {x_train.shape[1]} values as in training, got {x.shape[1]}; is it another data set?"
        )
