"""Bounds on log p(x) as functions of log w = log p(x,z) - log q(z|x) for K samples z ~ q(z|x)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """A bound of each image in nats, and the surrogate: the scalar to differentiate, a mean over the batch."""

    value: Float[Tensor, " B"]
    surrogate: Float[Tensor, ""]


def elbo(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return E_q[log p(x,z) - log q(z|x)] in nats, the mean over K samples (Kim & Pavlovic 2021, eq. 2)."""
    return log_w.mean(0)


def iwae(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Return log 1/K sum_k w_k, the importance-weighted bound (Burda et al. 2016; Kim & Pavlovic 2021, sec. 10)."""
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


def ciwae(log_w: Float[Tensor, "K B"], beta: float) -> Float[Tensor, " B"]:
    """Return beta ELBO + (1 - beta) IWAE, the combination of Rainforth et al. 2018 (Ganguly et al. 2023, sec. 5.1)."""
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
    """Return the Renyi bound 1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha).

    alpha = 1 is the ELBO and alpha = 0 IWAE. As K grows it lies below log p(x) for alpha > 0 and above it for
    alpha < 0; at any K it does not increase with alpha (Li & Turner 2016; Ganguly et al. 2023, eq. 29). The sum is
    taken relative to its largest term by expm1 and log1p, which keeps it accurate for alpha close to 1.
    """
    if alpha == 1.0:
        return elbo(log_w)
    s = 1.0 - alpha
    # log mean w^s = s top + log(1 + mean(e^{s (log w - top)} - 1)); exponents are at most 0, so that none overflows.
    # NOTE: the value does not depend on `top`, so no gradient goes through it.
    top = (log_w.amax(0) if s > 0 else log_w.amin(0)).detach()
    return top + torch.log1p(torch.expm1(s * (log_w - top)).mean(0)) / s


def cubo(log_w: Float[Tensor, "K B"], order: float) -> Float[Tensor, " B"]:
    """Return the chi upper bound 1/n log 1/K sum_k w_k^n of order n >= 1.

    It is `renyi` with alpha = 1 - n. The limit for large K lies above log p(x); the mean of the K-sample estimate lies
    below that limit (Dieng et al. 2017; Ganguly et al. 2023, eq. 27).
    """
    return renyi(log_w, 1.0 - order)
