"""Index posteriors in sparse form: the K most probable training points, and a tail of which only the mass is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        """The posteriors of some of the points."""
        return SparsePosterior(self.index[which], self.log_q[which], self.log_tail[which], self.n_total)

    def dense(self) -> Float64[Tensor, "B N"]:
        """log q(i|n) of every training point."""
        b, stored = self.index.shape
        each = self.log_tail - math.log(max(self.n_total - stored, 1))
        full = each[:, None].expand(b, self.n_total).clone()
        return full.scatter_(1, self.index, self.log_q)

    def tail(self, k: int, samples: int, generator: torch.Generator | None = None) -> TailDraw:
        """Draws from q~^k: what is stored behind the first k by its probability, the others evenly.

        Raises:
            UserError: k leaves nothing to draw from, or is more than is stored.
        """
        stored = self.index.shape[1]
        if not 0 <= k <= stored or (samples and k >= self.n_total):
            raise UserError(f"wanted k from 0 to {min(stored, self.n_total - bool(samples))}, got {k}")
        others = self.n_total - stored
        log_mass = torch.cat([self.log_q[:, k:], self.log_tail[:, None]], dim=1)
        log_mass = _or_even(log_mass, others)
        place = torch.multinomial(log_mass.softmax(1), samples, replacement=True, generator=generator)
        log_q = torch.log_softmax(log_mass, 1).gather(1, place)
        inside = place < stored - k
        chosen = self.index[:, k:].gather(1, place.clamp_max(max(stored - k - 1, 0))) if stored > k else place
        if others:
            rank = torch.randint(others, place.shape, generator=generator, device=place.device)
            chosen = torch.where(inside, chosen, not_stored(self.index, rank))
            log_q = torch.where(inside, log_q, log_q - math.log(others))
        return TailDraw(chosen, log_q)


def not_stored(index: Int64[Tensor, "B K"], rank: Int64[Tensor, "B S"]) -> Int64[Tensor, "B S"]:
    """The rank-th (from 0) of the indices that are not in a row of `index`."""
    # The j-th stored index (sorted) has `index_j - j` others below it; rank r is behind all with so many or fewer.
    below = index.sort(1).values - torch.arange(index.shape[1], device=index.device)
    return rank + torch.searchsorted(below, rank, right=True)


def is_stored(index: Int64[Tensor, "B K"], asked: Int64[Tensor, "B S"]) -> Bool[Tensor, "B S"]:
    """Which of the indices asked for are in the same row of `index`."""
    ordered = index.sort(1).values
    place = torch.searchsorted(ordered, asked).clamp_max(index.shape[1] - 1)
    return ordered.gather(1, place) == asked


def _or_even(log_mass: Float64[Tensor, "B M"], others: int) -> Float64[Tensor, "B M"]:
    """Where underflow leaves no mass at all, an even distribution over what may be drawn."""
    even = torch.zeros_like(log_mass)
    even[:, -1] = math.log(others) if others else -torch.inf
    return torch.where(log_mass.amax(1, keepdim=True) > -torch.inf, log_mass, even)
