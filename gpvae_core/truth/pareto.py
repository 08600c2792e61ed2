"""Whether importance weights can be trusted: effective sample size and Pareto-k (Vehtari et al. 2024).

An estimate from weights with too heavy a tail looks precise and is wrong: a few weights that were never drawn hold the
mass. The tail's shape k, fitted to the largest weights that were drawn, shows it: moments below 1/k are finite.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

K_HAT_LIMIT = 0.7
"""Above it neither the estimate nor its standard error says anything (Vehtari et al. 2024, sec. 3)."""
MIN_TAIL = 5
"""Weights of the tail below which no shape is fitted."""
PRIOR_WEIGHT, PRIOR_SHAPE = 10.0, 0.5
"""The fitted shape is drawn towards PRIOR_SHAPE as if by so many more weights (Vehtari et al. 2024, appendix G)."""

FITTED_AT_ONCE = 64
"""Instances whose tails are fitted together; bounds the memory."""
SMALLEST = 1e-300
"""Stands for weights of the tail that are nothing beside the largest one."""


def effective_sample_size(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """(sum w)^2 / sum w^2, between 1 and K: so many equal weights would be as precise (Kong 1992)."""
    log_w = log_w.double()
    return (2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)).exp()


def log_mean_error(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Standard error of log 1/K sum_k w_k in nats by the delta method: sd(w) / (sqrt K mean(w)); NaN for K = 1."""
    k = log_w.shape[0]
    relative = (log_w.double() - torch.logsumexp(log_w.double(), 0) + math.log(k)).exp()
    return relative.var(0).sqrt() / math.sqrt(k) if k > 1 else torch.full_like(relative[0], math.nan)


def tail_size(k: int) -> int:
    """How many of k weights are the tail: min(k/5, 3 sqrt k) (Vehtari et al. 2024, eq. 13)."""
    return math.ceil(min(0.2 * k, 3 * math.sqrt(k)))


def pareto_k(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """k-hat of each instance's weights: the shape of a generalised Pareto distribution fitted to the largest ones.

    NaN where there are fewer than MIN_TAIL weights in the tail; -inf where the tail is constant, infinity where its
    largest weight is not finite.
    """
    count = tail_size(log_w.shape[0])
    if count < MIN_TAIL:
        return torch.full_like(log_w[0], math.nan, dtype=torch.float64)
    found = [_k_hat(part.cpu().double().topk(count + 1, dim=0).values) for part in log_w.split(FITTED_AT_ONCE, dim=1)]
    return torch.cat(found).to(log_w.device)


def _k_hat(top: Float[Tensor, "M1 B"]) -> Float[Tensor, " B"]:
    """From the largest weights in falling order, the last of them the threshold: the shape of what exceeds it.

    The shape is drawn towards PRIOR_SHAPE, as few weights leave it uncertain.
    """
    weights = (top - top[0]).exp()
    excess = (weights[:-1] - weights[-1]).flip(0)
    usable = torch.isfinite(excess).all(0) & (excess[-1] > 0)
    safe = torch.where(usable, excess, torch.linspace(0.5, 1.0, len(excess)).to(excess)[:, None])
    m = len(excess)
    shape = (m * pareto_shape(safe.clamp_min(SMALLEST)) + PRIOR_WEIGHT * PRIOR_SHAPE) / (m + PRIOR_WEIGHT)
    other = torch.where(torch.isfinite(excess).all(0), -math.inf, math.inf)
    return torch.where(usable, shape, other.to(shape))


def pareto_shape(excess: Float[Tensor, "M B"]) -> Float[Tensor, " B"]:
    """Shape k of the generalised Pareto distribution of M ascending positive excesses (Zhang & Stephens 2009).

    The density is (1 + k y / sigma)^(-1/k - 1) / sigma. With theta = -k / sigma the profile likelihood has one
    parameter; its posterior mean under a weak prior is found by quadrature over 30 + sqrt M values: no search to fail.
    """
    y, m = excess.double(), len(excess)
    grid = 30 + math.isqrt(m)
    steps = torch.arange(1, grid + 1).to(y)[:, None]
    quartile = y[math.floor(m / 4 + 0.5) - 1]
    theta = 1 / y[-1] + (1 - (grid / (steps - 0.5)).sqrt()) / (3 * quartile)
    shape = torch.log1p(-theta[:, None] * y).mean(1)
    log_profile = m * ((-theta / shape).log() - shape - 1)
    best = (torch.softmax(log_profile, 0) * theta).sum(0)
    return torch.log1p(-best * y).mean(0)
