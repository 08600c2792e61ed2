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
    """E_q[log p(x,z) - log q(z|x)], Monte Carlo over K samples (Kim & Pavlovic 2021, eq. 2)."""
    return log_w.mean(0)


def iwae(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """log 1/K sum_k w_k, the importance-weighted bound (Burda et al. 2016; Kim & Pavlovic 2021, sec. 10)."""
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])
