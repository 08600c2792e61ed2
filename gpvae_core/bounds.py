"""Bounds on log p(x) as functions of log w = log p(x,z) - log q(z|x) for K samples z ~ q(z|x)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """A bound per instance in nats, and the scalar whose gradient is followed (mean over the batch)."""

    value: Float[Tensor, " B"]
    surrogate: Float[Tensor, ""]


def elbo(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return E_q[log p(x,z) - log q(z|x)], Monte Carlo over K samples (Kim & Pavlovic 2021, eq. 2)."""
    return log_w.mean(0)


def iwae(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return log 1/K sum_k w_k, the importance-weighted bound (Burda et al. 2016; Kim & Pavlovic 2021, sec. 10)."""
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


def ciwae(log_w: Float[Tensor, "K B"], beta: float) -> Float[Tensor, " B"]:
    """Return beta ELBO + (1 - beta) IWAE, the combination of Rainforth et al. 2018 (review, sec. 5.1)."""
    return beta * elbo(log_w) + (1.0 - beta) * iwae(log_w)


def miwae(log_w: Float[Tensor, "M K B"]) -> Float[Tensor, " B"]:
    """Return the mean of M IWAE bounds of K samples each (Rainforth et al. 2018).

    It is as tight as IWAE-K, with M times the samples.
    """
    return (torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])).mean(0)


def piwae(log_w: Float[Tensor, "M K B"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Return the decoder's and the encoder's bound: IWAE of all M K samples, and MIWAE (Rainforth et al. 2018)."""
    return iwae(log_w.flatten(0, 1)), miwae(log_w)


def renyi(log_w: Float[Tensor, "K B"], alpha: float) -> Float[Tensor, " B"]:
    """Return 1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha), the Renyi bound (Li & Turner 2016; review, eq. 29).

    alpha = 1 is the ELBO and alpha = 0 IWAE. As K grows it lies below log p(x) for alpha > 0 and above it for
    alpha < 0; at any K it does not increase with alpha. The sum is taken about its largest term by expm1 and log1p,
    which keeps it exact where alpha is almost 1.
    """
    if alpha == 1.0:
        return elbo(log_w)
    s = 1.0 - alpha
    # log mean w^s = s top + log(1 + mean(e^{s (log w - top)} - 1)); exponents are at most 0, so that none overflows.
    # NOTE: the value does not depend on `top`, so no gradient goes through it.
    top = (log_w.amax(0) if s > 0 else log_w.amin(0)).detach()
    return top + torch.log1p(torch.expm1(s * (log_w - top)).mean(0)) / s


def cubo(log_w: Float[Tensor, "K B"], order: float) -> Float[Tensor, " B"]:
    """Return 1/n log 1/K sum_k w_k^n, the chi upper bound of order n >= 1 (Dieng et al. 2017; review, eq. 27).

    It is `renyi` with alpha = 1 - n. Above log p(x) is its limit in K; the mean over K samples lies below that limit.
    """
    return renyi(log_w, 1.0 - order)
