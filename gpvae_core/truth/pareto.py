"""Diagnostics of importance weights: effective sample size and Pareto-k (Vehtari et al. 2024).

An estimate from weights with a heavy tail looks precise and is wrong: a few weights that were never drawn hold most of
the mass. The shape k of the tail, fitted to the largest weights that were drawn, reveals it: moments of an order below
1/k are finite.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

K_HAT_LIMIT = 0.7
"""Above this k-hat neither the estimate nor its standard error is reliable (Vehtari et al. 2024, sec. 3)."""
MIN_TAIL = 5
"""Fewest weights in the tail to which a shape is fitted."""
PRIOR_WEIGHT, PRIOR_SHAPE = 10.0, 0.5
"""The fitted shape is averaged with PRIOR_SHAPE, which counts as PRIOR_WEIGHT weights (Vehtari et al. 2024, appendix
G)."""

FITTED_AT_ONCE = 64
"""Number of images whose tails are fitted together; bounds the memory."""
SMALLEST = 1e-300
"""Lower bound of the tail's excesses, whose logarithms are taken."""


def effective_sample_size(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return (sum w)^2 / sum w^2, from 1 to K: the number of equal weights that are as precise (Kong 1992)."""
    log_w = log_w.double()
    return (2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)).exp()


def log_mean_error(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return the standard error of log 1/K sum_k w_k in nats; NaN for K = 1.

    By the delta method it is sd(w) / (sqrt(K) mean(w)). That is right on average, but two standard errors cover less
    than 95 % where K is small, as large weights that would raise both estimate and error were not drawn: of log-normal
    weights with sd(log w) = 0.5 they cover 92 % at K = 16 and 94 % at K = 64, and 3 in 1,000 estimates at K = 16 lie
    more than 4 standard errors off, most of them below.
    """
    k = log_w.shape[0]
    # w_k / mean(w), whose standard deviation is sd(w) / mean(w); log-sum-exp keeps it finite for any scale of w.
    relative = (log_w.double() - torch.logsumexp(log_w.double(), 0) + math.log(k)).exp()
    return relative.var(0).sqrt() / math.sqrt(k) if k > 1 else torch.full_like(relative[0], math.nan)


def tail_size(k: int) -> int:
    """Return the number of weights in the tail of k weights: min(k/5, 3 sqrt k) (Vehtari et al. 2024, eq. 13)."""
    return math.ceil(min(0.2 * k, 3 * math.sqrt(k)))


def pareto_k(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return k-hat of each image: the shape of a generalised Pareto distribution fitted to its largest weights.

    NaN where K is so small that fewer than MIN_TAIL weights are in the tail; -inf where the tail is constant, infinity
    where its largest weight is not finite or fewer than MIN_TAIL weights lie above the smallest one.
    """
    count = tail_size(log_w.shape[0])
    if count < MIN_TAIL:
        return torch.full_like(log_w[0], math.nan, dtype=torch.float64)
    device, log_w = log_w.device, log_w.cpu().double()
    tops = [part.topk(count + 1, dim=0).values for part in log_w.split(FITTED_AT_ONCE, dim=1)]
    k_hat = torch.cat([_k_hat(top) for top in tops])
    tied = torch.cat([(top[-1] == top[-2]) & (top[-1] < top[0]) for top in tops])
    for i in tied.nonzero()[:, 0].tolist():
        k_hat[i] = _k_hat_of_tied(log_w[:, i].sort(descending=True).values, count)
    return k_hat.to(device)


def _k_hat_of_tied(falling: Float[Tensor, " K"], count: int) -> Float[Tensor, ""]:
    """Return k-hat of one image from its log weights in falling order, where the threshold is tied with the tail.

    The tail are the weights above the threshold, the (count + 1)-th largest weight: those equal to it have an excess of
    zero, which no generalised Pareto density has. Where these are too few, the threshold is the next smaller weight.
    """
    threshold = falling[count]
    tail = falling[falling > threshold]
    if len(tail) < MIN_TAIL and bool((falling < threshold).any()):
        threshold = falling[falling < threshold][0]
        tail = falling[falling > threshold]
    if len(tail) < MIN_TAIL:
        return falling.new_tensor(math.inf)
    if tail[0] == tail[-1]:
        return falling.new_tensor(-math.inf)
    return _k_hat(torch.cat([tail, threshold[None]])[:, None])[0]


def _k_hat(top: Float[Tensor, "M1 B"]) -> Float[Tensor, " B"]:
    """Return k-hat from the M + 1 largest log weights in falling order, of which the last one is the threshold.

    The fitted shape is averaged with PRIOR_SHAPE, as few weights leave it uncertain.
    """
    weights = (top - top[0]).exp()  # relative to the largest one, so that none overflows
    excess = (weights[:-1] - weights[-1]).flip(0)
    usable = torch.isfinite(excess).all(0) & (excess[-1] > 0)
    # Tails without a shape are replaced by arbitrary numbers, as all images are fitted together; see the last line.
    safe = torch.where(usable, excess, torch.linspace(0.5, 1.0, len(excess)).to(excess)[:, None])
    m = len(excess)
    shape = (m * pareto_shape(safe.clamp_min(SMALLEST)) + PRIOR_WEIGHT * PRIOR_SHAPE) / (m + PRIOR_WEIGHT)
    without_shape = torch.where(torch.isfinite(excess).all(0), -math.inf, math.inf)
    return torch.where(usable, shape, without_shape.to(shape))


def pareto_shape(excess: Float[Tensor, "M B"]) -> Float[Tensor, " B"]:
    """Return the shape k of a generalised Pareto distribution fitted to M ascending positive excesses.

    The density is (1 + k y / sigma)^(-1/k - 1) / sigma. With theta = -k / sigma the profile likelihood has one
    parameter; its posterior mean under a weak prior is computed by quadrature over 30 + sqrt M values, so that no
    search can fail (Zhang & Stephens 2009).
    """
    y, m = excess.double(), len(excess)
    grid = 30 + math.isqrt(m)
    # theta_j = 1 / y_max + (1 - sqrt(n / (j - 1/2))) / (3 y_q) for j = 1 ... n, with y_q the first quartile
    steps = torch.arange(1, grid + 1).to(y)[:, None]
    quartile = y[math.floor(m / 4 + 0.5) - 1]
    # Quantiles of the prior of theta, all below 1 / max y, where the density is positive.
    theta = 1 / y[-1] + (1 - (grid / (steps - 0.5)).sqrt()) / (3 * quartile)
    # Given theta, the likelihood is largest at k = mean log(1 - theta y).
    shape = torch.log1p(-theta[:, None] * y).mean(1)
    # log L(theta, k(theta)) = m (log(-theta / k) - k - 1), with sigma = -k / theta put into the density.
    log_profile = m * ((-theta / shape).log() - shape - 1)
    posterior_mean = (torch.softmax(log_profile, 0) * theta).sum(0)
    return torch.log1p(-posterior_mean * y).mean(0)
