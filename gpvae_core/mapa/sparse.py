"""Index posteriors in sparse form: the K most probable training points, and a tail of which only the mass is known."""

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
    """S indices for each of B points, i ~ q~^k(i|n) of eq. 9, outside of the k most probable."""

    index: Int64[Tensor, "B S"]
    log_q: Float64[Tensor, "B S"]
    """log q~^k(i|n) of each, nats."""


@dataclass(frozen=True)
class SparsePosterior:
    """q(i|n) of B points over N training points (Yacoby et al. 2024, eq. 8); the dense form has K = N.

    What is not stored shares its mass evenly. That is a distribution with full support, so that importance weights to
    it are unbiased whatever the tail is like.
    """

    index: Int64[Tensor, "B K"]
    """The K most probable training points, most probable first."""
    log_q: Float64[Tensor, "B K"]
    """log q(i|n) of these, nats."""
    log_tail: Float64[Tensor, " B"]
    """log of the mass of the N - K others; -inf where there are none."""
    n_total: int
    """N."""

    @staticmethod
    def of(
        index: Int64[Tensor, "B K"], log_kernel: Float64[Tensor, "B K"], log_rest: Float64[Tensor, " B"], n_total: int
    ) -> SparsePosterior:
        """Normalised: q(i|n) = k / (sum of the K stored + exp(log_rest)); `log_rest` is -inf where K = N."""
        log_rest = log_rest if index.shape[1] < n_total else torch.full_like(log_rest, -torch.inf)
        total = torch.logaddexp(torch.logsumexp(log_kernel, 1), log_rest)
        return SparsePosterior(index, log_kernel - total[:, None], log_rest - total, n_total)

    def rows(self, which: Int64[Tensor, " b"]) -> SparsePosterior:
        """Return the posteriors of some of the points."""
        return SparsePosterior(self.index[which], self.log_q[which], self.log_tail[which], self.n_total)

    def dense(self) -> Float64[Tensor, "B N"]:
        """Return log q(i|n) of every training point."""
        b, stored = self.index.shape
        each = self.log_tail - math.log(max(self.n_total - stored, 1))
        full = each[:, None].expand(b, self.n_total).clone()
        return full.scatter_(1, self.index, self.log_q)

    @cached_property
    def log_sums(self) -> Float64[Tensor, "B J"]:
        """log of the mass of the others, and with that of the last 1, 2, ... K stored (J = K + 1): from the small end,
        so that a tail of any smallness has all its digits."""
        return torch.cat([self.log_tail[:, None], self.log_q.flip(1)], dim=1).logcumsumexp(1)

    def tail(
        self,
        k: int,
        samples: int,
        generator: torch.Generator | None = None,
        which: Int64[Tensor, " b"] | None = None,
    ) -> TailDraw:
        """Draws from q~^k: what is stored behind the first k by its probability, the others evenly.

        Args:
            which: the points to draw for; all of them without it. Many draws from one posterior are cheaper so than
                from its `rows`, because `log_sums` are kept.

        Raises:
            UserError: k leaves nothing to draw from, or is more than is stored.
        """
        stored = self.index.shape[1]
        if not 0 <= k <= stored or (samples and k >= self.n_total):
            raise UserError(f"wanted k from 0 to {min(stored, self.n_total - bool(samples))}, got {k}")
        which = torch.arange(len(self.index), device=self.index.device) if which is None else which
        place, log_q = self._places(which, k, samples, generator)
        chosen, others = self.index[which[:, None], place.clamp_max(stored - 1)], self.n_total - stored
        if others:
            rank = torch.randint(others, place.shape, generator=generator, device=place.device)
            outside = not_stored(self.index[which].sort(1).values, rank)
            chosen = torch.where(place < stored, chosen, outside)
        return TailDraw(chosen, log_q)

    def _places(
        self, which: Int64[Tensor, " b"], k: int, samples: int, generator: torch.Generator | None
    ) -> tuple[Int64[Tensor, "b S"], Float64[Tensor, "b S"]]:
        """Columns k, ..., K - 1 of the stored, or K for one of the others; and log q~^k of what is drawn."""
        stored, rows = self.index.shape[1], which[:, None]
        others = self.n_total - stored
        mass = self.log_sums[rows, stored - k]
        sums = _or_even(self.log_sums[which, : stored - k + 1], others)
        share = torch.rand(len(which), samples, generator=generator, device=sums.device, dtype=torch.float64)
        place = stored - torch.searchsorted(sums, sums[:, -1:] + torch.log1p(-share)).clamp_max(stored - k)
        of_others = self.log_tail[rows] - math.log(max(others, 1))
        log_q = torch.where(place < stored, self.log_q[rows, place.clamp_max(stored - 1)], of_others) - mass
        return place, torch.where(mass > -torch.inf, log_q, -math.log(max(self.n_total - k, 1)))


def not_stored(ordered: Int64[Tensor, "B K"], rank: Int64[Tensor, "B S"]) -> Int64[Tensor, "B S"]:
    """Return the rank-th (from 0) of the indices that are not in a row of stored ones, which are sorted."""
    # The j-th stored index has `index_j - j` others below it; rank r is behind all with so many or fewer.
    below = ordered - torch.arange(ordered.shape[1], device=ordered.device)
    return rank + torch.searchsorted(below, rank, right=True)


def is_stored(ordered: Int64[Tensor, "B K"], asked: Int64[Tensor, "B S"]) -> Bool[Tensor, "B S"]:
    """Return which of the indices asked for are in the same row of stored ones, which are sorted."""
    place = torch.searchsorted(ordered, asked).clamp_max(ordered.shape[1] - 1)
    return ordered.gather(1, place) == asked


def _or_even(log_sums: Float64[Tensor, "B M"], others: int) -> Float64[Tensor, "B M"]:
    """Return where underflow leaves no mass at all, that of an even distribution over what may be drawn."""
    even = torch.arange(log_sums.shape[1], device=log_sums.device, dtype=torch.float64).add(others).log()
    return torch.where(log_sums[:, -1:] > -torch.inf, log_sums, even)
