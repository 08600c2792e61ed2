"""Importance-weighted lower bounds on log p(x), any latent dimension, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core import bounds
from gpvae_core.densities.base import Posterior
from gpvae_core.device import decodes_at_once
from gpvae_core.truth.pareto import effective_sample_size, log_mean_error, pareto_k
from gpvae_core.vae import VAE


@dataclass(frozen=True)
class ImportanceEstimate:
    """log p(x) of B instances from K importance weights each, and whether it can be trusted."""

    log_px: Float[Tensor, " B"]
    """log 1/K sum_k w_k, nats: a lower bound in expectation."""
    se: Float[Tensor, " B"]
    """Its standard error, nats; it means nothing where k_hat is above K_HAT_LIMIT."""
    ess: Float[Tensor, " B"]
    """Effective sample size, of K."""
    k_hat: Float[Tensor, " B"]
    """Shape of the weights' tail, NaN where K is too small to tell."""

    @staticmethod
    def of(log_w: Float[Tensor, "K B"]) -> ImportanceEstimate:
        return ImportanceEstimate(
            bounds.iwae(log_w), log_mean_error(log_w), effective_sample_size(log_w), pareto_k(log_w)
        )


@torch.no_grad()
def log_weights(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    k: int,
    generator: torch.Generator | None = None,
    proposal: Posterior | None = None,
    chunk: int | None = None,
) -> Float[Tensor, "K B"]:
    """log w = log p(x,z) - log q(z|x) in nats for k samples z ~ q of each image; float64 on the CPU.

    Args:
        proposal: q for these B images; the encoder's where there is none.
        chunk: latents decoded at a time (at least one for each image); what the device is fastest on by default.
    """
    q = vae.infer(x) if proposal is None else proposal
    at_once = max(1, (chunk or decodes_at_once(x.device)) // len(x))
    parts = []
    for start in range(0, k, at_once):
        z, log_q = q.rsample_and_log_prob(min(at_once, k - start), generator)
        parts.append((vae.log_joint(x, z) - log_q).cpu().double())
    return torch.cat(parts)


def iwae_log_px(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    k: int,
    generator: torch.Generator | None = None,
    proposal: Posterior | None = None,
    chunk: int | None = None,
) -> Float[Tensor, " B"]:
    """log 1/K sum_k w_k in nats: a lower bound of log p(x) in expectation, exact as K grows (Burda et al. 2016)."""
    return bounds.iwae(log_weights(vae, x, k, generator, proposal, chunk))
