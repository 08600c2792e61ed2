"""Search for nearest training vectors: a fast search proposes candidates, whose statistics are recomputed accurately.

A fast search expands |a - b|^2 = |a|^2 + |b|^2 - 2 a'b, which in float32 suffers from cancellation for near vectors. It
therefore only proposes candidates, and `pairs` recomputes their statistics from differences.
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
"""FAISS without its type stubs, which lack the C++ functions used here."""
MARGIN = 32
"""Number of candidates beyond k, so that most rows are certain after the first search."""
GROWTH = 4
"""Factor by which the number of candidates grows for rows that are still uncertain."""
CANDIDATES = 1 << 22
"""Largest number of candidates in memory."""


@dataclass(frozen=True)
class Measure:
    """Functions that compute a metric's statistic; `sign` times the statistic is smallest for the nearest vectors."""

    sign: float
    faiss_metric: int
    faiss_pairs: Callable[..., None]
    scores: Callable[[Tensor, Tensor], Tensor]
    """sign * statistic of all pairs, from products; (b, Q), (N, Q) -> (b, N)."""
    pairs: Callable[[Tensor, Tensor], Tensor]
    """Statistic of each pair, from differences; (b, 1, Q), (b, c, Q) -> (b, c)."""


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
    """Candidates that a fast search proposes for b queries."""

    index: Int64[Tensor, "b c"]
    """Indices of the candidates in any order; -1 pads rows with fewer."""
    beyond: Float32[Tensor, " b"] | None
    """Lower bound on sign * statistic of all vectors that are not candidates; None if the search has no such bound."""


@dataclass(frozen=True)
class Nearest:
    """The k nearest vectors of b queries, nearest first; ties are ordered by index."""

    index: Int64[Tensor, "b k"]
    statistic: Float32[Tensor, "b k"]


class Search(ABC):
    """An index over the training vectors."""

    measure: Measure
    size: int
    """Number of vectors, N."""

    @abstractmethod
    def first_count(self, k: int) -> int:
        """Return the number of candidates in the first search for the k nearest."""

    @abstractmethod
    def group(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        """Return a number for each query; queries with equal numbers read the same memory."""

    @abstractmethod
    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        """Return at least `count` candidates for each query, padded with -1."""

    @abstractmethod
    def recall(
        self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b k"], own: Int64[Tensor, " b"] | None
    ) -> float:
        """Return the share of the queries' true k nearest vectors that `index` contains."""

    @abstractmethod
    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        """Return the statistic of each query and each of its candidates, from differences; on the CPU."""


def share(known: Int64[Tensor, "b k"], candidates: Int64[Tensor, "b c"]) -> float:
    """Return the share of the known indices that are among the candidates of the same row, ignoring -1."""
    # Indices are unique in each of the two, so that two equal entries in a sorted row mean one index in both.
    both = torch.cat([known, candidates], dim=1).sort(1).values
    return float((both[:, 1:] == both[:, :-1]).logical_and(both[:, 1:] >= 0).sum() / known.numel())


def rounding(queries: Float32[Tensor, "b Q"], longest: float) -> Float32[Tensor, " b"]:
    """Return a bound on the rounding error of the expanded statistic, for vectors of norm up to `longest`."""
    # 2^-24 is the unit roundoff of float32. Rounding errors of Q terms add up like a random walk, to about sqrt(Q)
    # units; 8 allows for the remaining operations.
    unit = 2.0**-24 * (8.0 + queries.shape[1] ** 0.5)
    return unit * (queries.norm(dim=1) + longest) ** 2


def nearest(
    search: Search,
    queries: Float32[Tensor, "b Q"],
    k: int,
    own: Int64[Tensor, " b"] | None = None,
    count: int | None = None,
) -> Nearest:
    """Return the k nearest vectors of each query; for an exact search the result is exact, with ties.

    If vectors that are not candidates might be among the k nearest (many duplicates, or distances that differ by less
    than the fast search resolves), the query is searched again with more candidates.

    Args:
        own: index of each query itself, if it is a training point: it stays among the k if it ties with the last one.
        count: number of candidates in the first search.
    """
    count = min(count or search.first_count(k), search.size)
    candidates = search.candidates(queries, count)
    index = candidates.index if own is None else _with_own(candidates.index, own)
    statistic = search.pairs(queries, index)
    result = _first(index, statistic, k, search.measure.sign)
    if own is not None:
        result = _keep_own(result, index, statistic, own)
    # No other vector is nearer than `beyond`, so that a row is certain if the last of its k is nearer than that.
    uncertain = result.index[:, -1] < 0
    if candidates.beyond is not None and count < search.size:
        uncertain |= search.measure.sign * result.statistic[:, -1] >= candidates.beyond
    if count == search.size or not uncertain.any():
        return result
    return _search_again(search, queries, k, own, count, result, uncertain)


def _search_again(
    search: Search,
    queries: Tensor,
    k: int,
    own: Tensor | None,
    count: int,
    result: Nearest,
    uncertain: Tensor,
) -> Nearest:
    """Return the result with the uncertain rows searched again, with GROWTH times as many candidates."""
    count = min(GROWTH * max(count, k), search.size)
    for rows in uncertain.nonzero()[:, 0].split(max(CANDIDATES // count, 1)):
        more = nearest(search, queries[rows], k, None if own is None else own[rows], count)
        result.index[rows], result.statistic[rows] = more.index, more.statistic
    return result


def _with_own(index: Int64[Tensor, "b c"], own: Int64[Tensor, " b"]) -> Int64[Tensor, "b c"]:
    """Return the candidates including each query's own point, which replaces the last one if it was missing."""
    missing = ~(index == own[:, None]).any(1)
    index[missing, -1] = own[missing]
    return index


def _first(index: Int64[Tensor, "b c"], statistic: Float32[Tensor, "b c"], k: int, sign: float) -> Nearest:
    """Return the first k in the order of (sign * statistic, index); -1 comes last."""
    # One sort of int64 keys, with the statistic in the upper and the index in the lower 32 bits, orders by both.
    near = torch.where(index < 0, torch.inf, sign * statistic) + 0.0  # + 0.0 turns -0.0 into 0.0
    # The bits of a float32, read as a signed integer, are ordered as the floats are, except that negative floats are
    # in reverse order: flipping all bits but the sign restores it, and flipping again undoes it.
    bits = near.view(torch.int32).long()
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    packed = ((ordered << 32) | (index & 0xFFFFFFFF)).sort(1).values[:, :k]
    bits, index = packed >> 32, packed & 0xFFFFFFFF
    near = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).int().view(torch.float32)
    return Nearest(torch.where(near == torch.inf, -1, index), sign * near)


def _keep_own(result: Nearest, index: Tensor, statistic: Tensor, own: Tensor) -> Nearest:
    """Return the result with each query's own point in place of the last one, if these tie and it is missing."""
    own_statistic = statistic.where(index == own[:, None], 0.0).sum(1)
    tied = (own_statistic == result.statistic[:, -1]) & ~(result.index == own[:, None]).any(1)
    result.index[tied, -1] = own[tied]
    return result
