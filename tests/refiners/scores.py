"""The ELBO of any answer, by fresh samples; and answers as plain tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.vae import VAE


@torch.no_grad()
def elbo(vae: VAE, x: Tensor, q: Posterior, k: int = 400) -> Tensor:
    """E_q[log p(x,z) - log q(z|x)] by Monte Carlo with the same noise at every call, (B,) nats."""
    z, log_q = q.rsample_and_log_prob(k, torch.Generator().manual_seed(123))
    return (vae.log_joint(x, z) - log_q).mean(0)
