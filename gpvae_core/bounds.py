"""Bounds on log p(x). What is reported is the value; what is differentiated is the surrogate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.vae import VAE


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


def training_bound(
    vae: VAE, x: Float[Tensor, "B C H W"], n_total: int, k: int = 1, generator: torch.Generator | None = None
) -> Bound:
    """E_q[log p(x|z)] - KL term - global KL / N, with N = `n_total` training instances.

    Kim & Pavlovic 2021, eq. 15: for the GP encoder q(z|x) is the marginalised encoder (eq. 13), the KL term is
    eq. 16 and the global KL is KL(q(W,U) || N(0,I)). For a plain encoder it is the usual ELBO.
    """
    q = vae.encoder(x)
    z, _ = q.rsample_and_log_prob(k, generator)
    value = vae.log_likelihood(x, z).mean(0) - q.kl(generator) - vae.encoder.global_kl() / n_total
    return Bound(value.detach(), value.mean())
