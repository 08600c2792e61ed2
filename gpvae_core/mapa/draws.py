"""Draws of indices for the bound: the k most probable, and S draws of the others (Yacoby et al. 2024, eq. 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpvae_core.mapa.sparse import SparsePosterior


@dataclass(frozen=True)
class IndexDraw:
    """Indices in the bounds of B points, on the CPU."""

    head: Int64[Tensor, "B k"]
    """B_n(k), the k most probable indices, which are distinct."""
    tail: Int64[Tensor, "B S"]
    """Draws i_s ~ q~^k(i|n) from outside of B_n(k)."""
    log_q: Float64[Tensor, "B S"]
    """log q~^k(i_s|n), nats."""
    passes: int = 0
    """Number of codes encoded and decoded to obtain the draws."""


def draw_sparse(
    posterior: SparsePosterior,
    k: int,
    samples: int,
    generator: torch.Generator,
    points: Int64[Tensor, " B"] | None = None,
) -> IndexDraw:
    """Draw from a sparse posterior for the given points, by default for all."""
    head = posterior.index[:, :k] if points is None else posterior.index[points, :k]
    if samples == 0:
        empty = head[:, :0]
        return IndexDraw(head, empty, empty.double())
    tail = posterior.tail(k, samples, generator, points)
    return IndexDraw(head, tail.index, tail.log_q)


def draw_dense(log_p: Float64[Tensor, "B N"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
    """Draw from a dense posterior; `log_p` is in nats, up to a constant for each point."""
    head = log_p.topk(k, dim=1).indices
    if samples == 0:
        return IndexDraw(head, head[:, :0], log_p[:, :0])
    # eq. 9: q~^k(i|n) is q(i|n) without its k largest entries, renormalised
    log_q = torch.log_softmax(log_p.scatter(1, head, -torch.inf), 1)
    tail = torch.multinomial(log_q.exp(), samples, replacement=True, generator=generator)
    return IndexDraw(head, tail, log_q.gather(1, tail))


def draw_uniform(b: int, n_total: int, k: int, samples: int, generator: torch.Generator) -> IndexDraw:
    """Draw from the uniform distribution, whose k "largest" entries are chosen at random for each point."""
    stored = max(k, 1)
    # Sorting independent uniform numbers gives a random permutation; its first entries are distinct random indices.
    index = torch.rand(b, n_total, generator=generator).topk(stored, dim=1).indices
    log_k = torch.zeros(b, stored, dtype=torch.float64)
    log_rest = torch.full((b,), math.log(max(n_total - stored, 1)), dtype=torch.float64)
    return draw_sparse(SparsePosterior.normalized(index, log_k, log_rest, n_total), k, samples, generator)
