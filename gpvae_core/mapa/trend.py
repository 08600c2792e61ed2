"""Agreement of MAPA with the true index posterior (Yacoby et al. 2024, D.3).

The true index posterior is that of the ground-truth model with the codes Z^GT that generated the training points
(eq. 7), p(i|x) = p(x|z_i) / sum_j p(x|z_j); MAPA is q(i|x) of eq. 8. For each x:

    KL(p || q)        divergence of q from p, nats; for comparison, it is log N - H(p) for the uniform q
    KL(q || p)        the reverse divergence, nats
    correlations      Spearman's and Pearson's of log q(i|x) with log p(i|x) over the support, which is the most
                      probable i under p that hold SUPPORT of its mass; Spearman's also over all i, which is the trend
                      visible in the paper's figures, including the indices without mass
    shift, spread     mean and standard deviation of log q - log p over the support, nats: the paper's 'noise centered
                      around the red curve' is the spread; a constant shift does not affect a proposal
    evidence gap      log 1/N sum_i p(x|z_i) - log p(x), nats. Scaled by N, the empirical posterior (red) is
                      p(x|z_i) / (1/N sum_j p(x|z_j)); relative to the prior, the continuous one (black) is
                      p(x|z) / p(x). At the codes the two differ by this constant
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
"""Share of p's mass in its support."""
FEWEST = 3
"""Smallest number of indices for which a correlation is defined."""
AT_ONCE = 256
"""Number of points whose index posteriors are compared in one batch."""


@dataclass(frozen=True)
class Trend:
    """Measures of agreement between q and p for each of B points, each of shape (B,)."""

    kl: Array
    """KL(p || q), nats."""
    reverse_kl: Array
    """KL(q || p), nats."""
    uniform_kl: Array
    """KL(p || uniform) = log N - H(p), nats."""
    rank: Array
    """Spearman's correlation of log q with log p over the support; NaN if undefined."""
    linear: Array
    """Pearson's correlation of log q with log p over the support; NaN if undefined."""
    rank_of_all: Array
    """Spearman's correlation over all indices."""
    shift: Array
    """Mean of log q - log p over the support, nats; -inf if q is 0 at an index of the support."""
    spread: Array
    """Standard deviation of log q - log p over the support, nats; NaN if q is 0 at an index of the support."""
    effective_p: Array
    """exp(H(p)), the effective number of indices under p."""
    effective_q: Array
    """exp(H(q)), the effective number of indices under q."""


def compare(log_p: Float64[Tensor, "B N"], log_q: Float64[Tensor, "B M"]) -> Trend:
    """Compare MAPA's `log_q` with the true `log_p`, both normalised, in nats.

    Raises:
        UserError: the two have different shapes.
    """
    if log_p.shape != log_q.shape:
        raise UserError(
            f"wanted two index posteriors over the same points, got {tuple(log_p.shape)} and {tuple(log_q.shape)}"
        )
    entropy_p, entropy_q = _cross(log_p, log_p), _cross(log_q, log_q)
    measures = np.array([_agreement(p, q) for p, q in zip(log_p.numpy(), log_q.numpy(), strict=True)])
    rank, linear, rank_of_all, shift, spread = measures.reshape(-1, 5).T
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
    """Return KL(p || q) of each row, in nats."""
    return (_cross(log_p, log_q) - _cross(log_p, log_p)).clamp_min(0.0)


def _cross(log_p: Float64[Tensor, "B N"], log_q: Float64[Tensor, "B N"]) -> Float64[Tensor, " B"]:
    """Return the cross-entropy -sum_i p_i log q_i in nats, with 0 log 0 = 0."""
    p = log_p.exp()
    return -torch.where(p > 0, p * log_q, 0.0).sum(1)


def _agreement(log_p: Array, log_q: Array) -> tuple[float, float, float, float, float]:
    """Return rank, linear, rank_of_all, shift and spread of `Trend` for one point."""
    from scipy.stats import rankdata  # takes half a second to import

    order = np.argsort(-log_p, kind="stable")
    mass = np.cumsum(np.exp(log_p[order]))
    support = order[: int(np.searchsorted(mass, SUPPORT * mass[-1])) + 1]
    p, q = log_p[support], log_q[support]
    rank_of_all = _correlation(rankdata(log_p), rankdata(log_q))
    if not np.isfinite(q).all():
        return math.nan, math.nan, rank_of_all, -math.inf, math.nan
    difference = q - p
    rank, linear = _correlation(rankdata(p), rankdata(q)), _correlation(p, q)
    return rank, linear, rank_of_all, float(difference.mean()), float(difference.std())


def _correlation(a: Array, b: Array) -> float:
    """Return Pearson's correlation; NaN for fewer than FEWEST values or a constant one."""
    if len(a) < FEWEST:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else math.nan


def concatenated(parts: list[Trend]) -> Trend:
    """Return the concatenation of the parts' points."""
    return Trend(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


@torch.no_grad()
def log_index_likelihood(
    model: GenerativeModel, codes: Float[Tensor, "N D"], x: Float[Tensor, "B C H W"]
) -> Float64[Tensor, "B N"]:
    """Return log p(x_b | z_i) of each point and code, in nats; float64 on the CPU. Each code is decoded once."""
    return model.likelihood.grid_table(model.decode(codes)).log_prob(x)


@torch.no_grad()
def trend(
    model: GenerativeModel,
    codes: Float[Tensor, "M D"],
    x_train: Float[Tensor, "N C H W"],
    x: Float[Tensor, "B C H W"],
    bandwidth: float,
) -> Trend:
    """Compare MAPA with a Gaussian kernel of this bandwidth with the index posterior of `model`, for each x.

    Args:
        codes: the latents that generated the training points `x_train`, in the same order.

    Raises:
        UserError: codes and training points differ in number, or the bandwidth is not positive.
    """
    if len(codes) != len(x_train):
        raise UserError(f"wanted a code for each of {len(x_train)} training points, got {len(codes)}")
    parts = []
    for batch in x.split(AT_ONCE):
        log_p = torch.log_softmax(log_index_likelihood(model, codes, batch), dim=1)
        parts.append(compare(log_p, mapa(x_train.flatten(1), batch.flatten(1), bandwidth)))
    return concatenated(parts)
