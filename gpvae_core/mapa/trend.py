"""The agreement of MAPA with the trend of the true index posterior, in numbers (Yacoby et al. 2024, D.3).

The truth is the index posterior of the ground-truth model with the codes Z^GT that made the training points (eq. 7),
p(i|x) = p(x|z_i) / sum_j p(x|z_j); MAPA is q(i|x) of eq. 8. For each x:

    KL(p || q)        what q costs as a stand-in for p, nats; the yardstick is a q that knows nothing, the uniform one,
                      for which it is log N - H(p)
    KL(q || p)        the other way round
    correlations      of log q(i|x) with log p(i|x), of values and of ranks, over the support: the most probable i
                      under p that hold SUPPORT of its mass; of ranks also over all i, which is the trend that one sees
                      in the paper's figures, down to where nothing has mass
    shift, spread     mean and standard deviation of log q - log p over the support, nats: the paper's 'noise centered
                      around the red curve' is the spread, and a constant shift does no harm to a proposal
    evidence gap      log 1/N sum_i p(x|z_i) - log p(x), nats. Scaled by N the empirical posterior (red) is
                      p(x|z_i) / (1/N sum_j p(x|z_j)) and the continuous one (black), over the prior, p(x|z) / p(x): at
                      the codes the two differ by this constant alone
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.bandwidth import mapa
from gpvae_core.vae import GenerativeModel

Array = NDArray[np.float64]
SUPPORT = 0.99
"""Share of p's mass that its support holds."""
FEWEST = 3
"""Indices in the support below which a correlation is not defined."""
AT_ONCE = 256
"""Points whose index posteriors are compared at a time."""


@dataclass(frozen=True)
class Trend:
    """The comparison for each of B points, (B,)."""

    kl: Array
    """KL(p || q), nats."""
    reverse_kl: Array
    """KL(q || p), nats."""
    uniform_kl: Array
    """KL(p || uniform) = log N - H(p), nats."""
    rank: Array
    """Spearman's correlation of log q with log p over the support; NaN where it is not defined."""
    linear: Array
    """Pearson's, likewise."""
    rank_of_all: Array
    """Spearman's over all indices."""
    shift: Array
    """Mean of log q - log p over the support, nats; -inf where q leaves out some of it."""
    spread: Array
    """Standard deviation of log q - log p over the support, nats; NaN where q leaves out some of it."""
    effective_p: Array
    """exp(H(p)): how many codes share the truth."""
    effective_q: Array
    """exp(H(q))."""


def compare(log_p: Float64[Tensor, "B N"], log_q: Float64[Tensor, "B M"]) -> Trend:
    """MAPA's `log_q` (normalised, nats) against the true `log_p`.

    Raises:
        UserError: the two are not over the same indices.
    """
    if log_p.shape != log_q.shape:
        raise UserError(
            f"wanted two index posteriors over the same points, got {tuple(log_p.shape)} and {tuple(log_q.shape)}"
        )
    entropy_p, entropy_q = _cross(log_p, log_p), _cross(log_q, log_q)
    along = np.array([_along(p, q) for p, q in zip(log_p.numpy(), log_q.numpy(), strict=True)])
    rank, linear, rank_of_all, shift, spread = along.reshape(-1, 5).T
    return Trend(
        kl=kl(log_p, log_q).numpy(),
        reverse_kl=kl(log_q, log_p).numpy(),
        uniform_kl=(math.log(log_p.shape[1]) - entropy_p).clamp_min(0.0).numpy(),
        rank=rank,
        linear=linear,
        rank_of_all=rank_of_all,
        shift=shift,
        spread=spread,
        effective_p=entropy_p.exp().numpy(),
        effective_q=entropy_q.exp().numpy(),
    )


def kl(log_p: Float64[Tensor, "B N"], log_q: Float64[Tensor, "B N"]) -> Float64[Tensor, " B"]:
    """KL(p || q) in nats."""
    return (_cross(log_p, log_q) - _cross(log_p, log_p)).clamp_min(0.0)


def _cross(log_p: Float64[Tensor, "B N"], log_q: Float64[Tensor, "B N"]) -> Float64[Tensor, " B"]:
    """-sum_i p_i log q_i in nats; what has no mass under p counts nothing, also where q has none either."""
    p = log_p.exp()
    return -torch.where(p > 0, p * log_q, 0.0).sum(1)


def _along(log_p: Array, log_q: Array) -> tuple[float, float, float, float, float]:
    """rank, linear, rank_of_all, shift and spread of `Trend` for one point."""
    from scipy.stats import rankdata  # half a second to import

    order = np.argsort(-log_p, kind="stable")
    held = np.cumsum(np.exp(log_p[order]))
    support = order[: int(np.searchsorted(held, SUPPORT * held[-1])) + 1]
    p, q = log_p[support], log_q[support]
    of_all = _correlation(rankdata(log_p), rankdata(log_q))
    if not np.isfinite(q).all():
        return math.nan, math.nan, of_all, -math.inf, math.nan
    apart = q - p
    rank, linear = _correlation(rankdata(p), rankdata(q)), _correlation(p, q)
    return rank, linear, of_all, float(apart.mean()), float(apart.std())


def _correlation(a: Array, b: Array) -> float:
    if len(a) < FEWEST:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else math.nan


def joined(parts: list[Trend]) -> Trend:
    """Return the trends of all points, one after the other."""
    return Trend(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


@torch.no_grad()
def log_index_likelihood(
    model: GenerativeModel, codes: Float[Tensor, "N D"], x: Float[Tensor, "B C H W"]
) -> Float64[Tensor, "B N"]:
    """Return log p(x_b | z_i) in nats of each code, float64 on the CPU; each code is decoded once."""
    return model.likelihood.grid_table(model.decode(codes)).log_prob(x)


@torch.no_grad()
def trend(
    model: GenerativeModel,
    codes: Float[Tensor, "M D"],
    x_train: Float[Tensor, "N C H W"],
    x: Float[Tensor, "B C H W"],
    bandwidth: float,
) -> Trend:
    """MAPA with a Gaussian kernel of this bandwidth against the index posterior of `model` at `codes`, for each x.

    Args:
        codes: the latents that made the training points `x_train`, in their order.

    Raises:
        UserError: codes and training points differ in number, or the bandwidth is not positive.
    """
    if len(codes) != len(x_train):
        raise UserError(f"wanted a code for each of {len(x_train)} training points, got {len(codes)}")
    parts = []
    for some in x.split(AT_ONCE):
        log_p = torch.log_softmax(log_index_likelihood(model, codes, some), dim=1)
        parts.append(compare(log_p, mapa(x_train.flatten(1), some.flatten(1), bandwidth)))
    return joined(parts)
