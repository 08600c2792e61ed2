"""Sparse index posteriors: the K most probable training points, and the total mass of all others, the tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpvae_core.errors import UserError


@dataclass(frozen=True)
class TailDraw:
    """S indices per point, drawn from i ~ q~^k(i|n) of eq. 9, the posterior without its k most probable indices."""

    index: Int64[Tensor, "B S"]
    log_q: Float64[Tensor, "B S"]
    """log q~^k(i|n) of each index, nats."""


@dataclass(frozen=True)
class SparsePosterior:
    """Index posterior q(i|n) of B points over N training points (Yacoby et al. 2024, eq. 8); dense if K = N.

    The mass of the tail is distributed uniformly over the N - K indices that are not stored. The distribution therefore
    has full support, and importance sampling from it is unbiased whatever the true tail is.
    """

    index: Int64[Tensor, "B K"]
    """The K most probable training points, in descending order of probability."""
    log_q: Float64[Tensor, "B K"]
    """log q(i|n) of the stored indices, nats."""
    log_tail: Float64[Tensor, " B"]
    """Log of the mass of the N - K other indices; -inf if K = N."""
    n_total: int
    """Number of training points, N."""

    @staticmethod
    def normalized(
        index: Int64[Tensor, "B K"], log_kernel: Float64[Tensor, "B K"], log_rest: Float64[Tensor, " B"], n_total: int
    ) -> SparsePosterior:
        """Return the posterior q(i|n) = k_i / (sum of the K stored kernel values + exp(log_rest)).

        Args:
            log_kernel: log k(x_n | x_i) of the stored indices, up to a constant for each point.
            log_rest: log of the sum of the other kernel values; it is ignored if K = N.
        """
        log_rest = log_rest if index.shape[1] < n_total else torch.full_like(log_rest, -torch.inf)
        total = torch.logaddexp(torch.logsumexp(log_kernel, 1), log_rest)
        return SparsePosterior(index, log_kernel - total[:, None], log_rest - total, n_total)

    def rows(self, points: Int64[Tensor, " b"]) -> SparsePosterior:
        """Return the posteriors of the points with these indices."""
        return SparsePosterior(self.index[points], self.log_q[points], self.log_tail[points], self.n_total)

    def dense(self) -> Float64[Tensor, "B N"]:
        """Return log q(i|n) of every training point, nats."""
        b, stored = self.index.shape
        log_q_other = self.log_tail - math.log(max(self.n_total - stored, 1))
        full = log_q_other[:, None].expand(b, self.n_total).clone()
        return full.scatter_(1, self.index, self.log_q)

    @cached_property
    def log_sums(self) -> Float64[Tensor, "B J"]:
        """Log of the tail's mass plus that of the last 0, 1, ..., K stored indices (J = K + 1)."""
        # Summing from the smallest terms up keeps all digits of a tiny tail; 1 - (mass of the first k) would lose them.
        return torch.cat([self.log_tail[:, None], self.log_q.flip(1)], dim=1).logcumsumexp(1)

    def tail(
        self,
        k: int,
        samples: int,
        generator: torch.Generator | None = None,
        points: Int64[Tensor, " b"] | None = None,
    ) -> TailDraw:
        """Draw `samples` indices per point from q~^k of eq. 9, the posterior without its k most probable indices.

        Args:
            points: the points to draw for; by default all. This is faster than drawing from `rows`, whose `log_sums`
                would have to be computed again.

        Raises:
            UserError: k exceeds the number of stored indices, or leaves no index to draw.
        """
        stored = self.index.shape[1]
        if not 0 <= k <= stored or (samples and k >= self.n_total):
            raise UserError(f"wanted k from 0 to {min(stored, self.n_total - bool(samples))}, got {k}")
        points = torch.arange(len(self.index), device=self.index.device) if points is None else points
        column, log_q = self._columns(points, k, samples, generator)
        index, others = self.index[points[:, None], column.clamp_max(stored - 1)], self.n_total - stored
        if others:
            rank = torch.randint(others, column.shape, generator=generator, device=column.device)
            outside = not_stored(self.index[points].sort(1).values, rank)
            index = torch.where(column < stored, index, outside)
        return TailDraw(index, log_q)

    def _columns(
        self, points: Int64[Tensor, " b"], k: int, samples: int, generator: torch.Generator | None
    ) -> tuple[Int64[Tensor, "b S"], Float64[Tensor, "b S"]]:
        """Draw columns k, ..., K - 1 of the stored indices, or K for the tail; also return log q~^k of each draw."""
        stored, rows = self.index.shape[1], points[:, None]
        others = self.n_total - stored
        # log_sums[:, stored - k] is the log mass of all indices but the first k: the normalizer of q~^k.
        log_mass = self.log_sums[rows, stored - k]
        # Inverse transform sampling in log space: the column is the first whose cumulative mass exceeds
        # (1 - u) * total. The sums run from the tail (entry 0) to column k (the last): entry j belongs to column K - j.
        sums = _or_uniform(self.log_sums[points, : stored - k + 1], others)
        u = torch.rand(len(points), samples, generator=generator, device=sums.device, dtype=torch.float64)
        column = stored - torch.searchsorted(sums, sums[:, -1:] + torch.log1p(-u)).clamp_max(stored - k)
        log_q_other = self.log_tail[rows] - math.log(max(others, 1))  # one index of the tail
        log_q = torch.where(column < stored, self.log_q[rows, column.clamp_max(stored - 1)], log_q_other) - log_mass
        return column, torch.where(log_mass > -torch.inf, log_q, -math.log(max(self.n_total - k, 1)))


def not_stored(ordered: Int64[Tensor, "B K"], rank: Int64[Tensor, "B S"]) -> Int64[Tensor, "B S"]:
    """Return the rank-th index, from 0, that is missing from a row of sorted indices."""
    # `ordered[j] - j` indices below the j-th stored one are missing. The rank-th missing index lies above exactly those
    # stored indices for which that number is at most `rank`, and each of them shifts it by one.
    below = ordered - torch.arange(ordered.shape[1], device=ordered.device)
    return rank + torch.searchsorted(below, rank, right=True)


def is_stored(ordered: Int64[Tensor, "B K"], index: Int64[Tensor, "B S"]) -> Bool[Tensor, "B S"]:
    """Return whether each index is contained in the same row of `ordered`, whose rows are sorted."""
    column = torch.searchsorted(ordered, index).clamp_max(ordered.shape[1] - 1)
    return ordered.gather(1, column) == index


def _or_uniform(log_sums: Float64[Tensor, "B M"], others: int) -> Float64[Tensor, "B M"]:
    """Return `log_sums`, or the sums of a uniform distribution in rows whose total mass has underflowed to 0."""
    uniform = torch.arange(log_sums.shape[1], device=log_sums.device, dtype=torch.float64).add(others).log()
    return torch.where(log_sums[:, -1:] > -torch.inf, log_sums, uniform)
