"""Nearest training vectors: candidates by a fast search, then their statistics again, without cancellation.

A fast search multiplies out |a - b|^2 = |a|^2 + |b|^2 - 2 a'b, which in float32 loses the digits of what is near. So it
only proposes candidates, and `pairs` computes their statistics by differences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faiss
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from gpvae_core.mapa.distances import square_of_difference
from gpvae_core.mapa.kernels.base import Metric

FAISS: Any = faiss
"""FAISS without its type information, in which the C++ functions used here are missing."""
MARGIN = 32
"""Candidates beyond the k that are wanted, so that most rows are settled at once."""
GROWTH = 4
"""Factor by which more are fetched for rows that are not settled."""
CANDIDATES = 1 << 22
"""Candidates held at once."""


@dataclass(frozen=True)
class Measure:
    """The computing of a metric; `sign` times the statistic is smallest for the nearest."""

    sign: float
    faiss_metric: int
    faiss_pairs: Callable[..., None]
    scores: Callable[[Tensor, Tensor], Tensor]
    """sign * statistic of all pairs, by products; (b, Q), (N, Q) -> (b, N)."""
    pairs: Callable[[Tensor, Tensor], Tensor]
    """Statistic of each pair, by differences; (b, 1, Q), (b, c, Q) -> (b, c)."""


def _square_scores(queries: Tensor, vectors: Tensor) -> Tensor:
    return square_of_difference(queries @ vectors.T, queries.square().sum(1), vectors.square().sum(1))


MEASURES = {
    Metric.SQUARED_DISTANCE: Measure(
        1.0, faiss.METRIC_L2, FAISS.fvec_L2sqr_by_idx, _square_scores, lambda a, b: (a - b).square_().sum(2)
    ),
    Metric.INNER_PRODUCT: Measure(
        -1.0,
        faiss.METRIC_INNER_PRODUCT,
        FAISS.fvec_inner_products_by_idx,
        lambda a, b: torch.mm(a, b.T).neg_(),
        lambda a, b: (a * b).sum(2),
    ),
}


@dataclass(frozen=True)
class Candidates:
    """The candidates that a fast search proposes for b queries."""

    index: Int64[Tensor, "b c"]
    """In any order; -1 where fewer were found."""
    beyond: Float32[Tensor, " b"] | None
    """sign * statistic of whatever is not a candidate is at least this; None where the search promises nothing."""


@dataclass(frozen=True)
class Nearest:
    """The k nearest of b queries, nearest first, and by index where they are equally near."""

    index: Int64[Tensor, "b k"]
    statistic: Float32[Tensor, "b k"]


class Search(ABC):
    """Training vectors made ready to be searched."""

    measure: Measure
    size: int
    """N."""

    @abstractmethod
    def first_count(self, k: int) -> int:
        """Candidates to fetch at first for the k nearest."""

    @abstractmethod
    def place(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        """A number for each query; those with the same read the same memory, and are best searched for together."""

    @abstractmethod
    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        """Return at least `count` candidates (or -1) for each query."""

    @abstractmethod
    def recall(
        self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b k"], own: Int64[Tensor, " b"] | None
    ) -> float:
        """Return share of the queries' true k nearest that were found."""

    @abstractmethod
    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        """Return statistic of each query and each of its candidates, by differences; on the CPU."""


def share(known: Int64[Tensor, "b k"], candidates: Int64[Tensor, "b c"]) -> float:
    """Return share of the known indices that are among those found in the same row, where -1 is none."""
    # Indices are unique in each of the two, so that equal neighbours in the sorted row are in both.
    both = torch.cat([known, candidates], dim=1).sort(1).values
    return float((both[:, 1:] == both[:, :-1]).logical_and(both[:, 1:] >= 0).sum() / known.numel())


def rounding(queries: Float32[Tensor, "b Q"], longest: float) -> Float32[Tensor, " b"]:
    """Return by how much a sum of products may be off, for vectors up to `longest` long: sqrt(Q) roundings and some."""
    unit = 2.0**-24 * (8.0 + queries.shape[1] ** 0.5)
    return unit * (queries.norm(dim=1) + longest) ** 2


def nearest(
    search: Search,
    queries: Float32[Tensor, "b Q"],
    k: int,
    own: Int64[Tensor, " b"] | None = None,
    count: int | None = None,
) -> Nearest:
    """Return the k nearest of each query. Of an exact search: exactly these, whatever ties there are.

    Where more points than were fetched might be among the k (many duplicates, or distances that differ by less than
    the fast search can tell), more are fetched for these queries.

    Args:
        own: index of each query's own point, where it is a training point: kept among the k if it ties with the last.
        count: candidates to fetch at first.
    """
    count = min(count or search.first_count(k), search.size)
    found = search.candidates(queries, count)
    index = found.index if own is None else _with_own(found.index, own)
    statistic = search.pairs(queries, index)
    chosen = _first(index, statistic, k, search.measure.sign)
    if own is not None:
        chosen = _keep_own(chosen, index, statistic, own)
    # What is no candidate is no nearer than `beyond`: the k are settled where the last of them is nearer than that.
    unsettled = chosen.index[:, -1] < 0
    if found.beyond is not None and count < search.size:
        unsettled |= search.measure.sign * chosen.statistic[:, -1] >= found.beyond
    if count == search.size or not unsettled.any():
        return chosen
    return _fetch_more(search, queries, k, own, count, chosen, unsettled)


def _fetch_more(
    search: Search,
    queries: Tensor,
    k: int,
    own: Tensor | None,
    count: int,
    chosen: Nearest,
    unsettled: Tensor,
) -> Nearest:
    count = min(GROWTH * max(count, k), search.size)
    for rows in unsettled.nonzero()[:, 0].split(max(CANDIDATES // count, 1)):
        more = nearest(search, queries[rows], k, None if own is None else own[rows], count)
        chosen.index[rows], chosen.statistic[rows] = more.index, more.statistic
    return chosen


def _with_own(index: Int64[Tensor, "b c"], own: Int64[Tensor, " b"]) -> Int64[Tensor, "b c"]:
    """Return the candidates with each query's own point among them, in place of the last where it was missing."""
    missing = ~(index == own[:, None]).any(1)
    index[missing, -1] = own[missing]
    return index


def _first(index: Int64[Tensor, "b c"], statistic: Float32[Tensor, "b c"], k: int, sign: float) -> Nearest:
    """Return the first k by (sign * statistic, index), by one sort of both packed into an integer; -1 comes last."""
    near = torch.where(index < 0, torch.inf, sign * statistic) + 0.0  # which makes 0.0 of -0.0
    # The bits of a float32, read as an integer, order as the floats do; below zero, backwards: they are flipped.
    bits = near.view(torch.int32).long()
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    packed = ((ordered << 32) | (index & 0xFFFFFFFF)).sort(1).values[:, :k]
    bits, index = packed >> 32, packed & 0xFFFFFFFF
    near = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).int().view(torch.float32)
    return Nearest(torch.where(near == torch.inf, -1, index), sign * near)


def _keep_own(chosen: Nearest, index: Tensor, statistic: Tensor, own: Tensor) -> Nearest:
    """Return each query's own point in the last place where it is as near as what stands there, and not further up."""
    own_statistic = statistic.where(index == own[:, None], 0.0).sum(1)
    tied = (own_statistic == chosen.statistic[:, -1]) & ~(chosen.index == own[:, None]).any(1)
    chosen.index[tied, -1] = own[tied]
    return chosen
