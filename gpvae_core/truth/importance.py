"""Importance-weighted lower bounds on log p(x) for any latent dimension, in bounded memory."""

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
    """log p(x) of B images from K importance weights each, with the diagnostics of the weights."""

    log_px: Float[Tensor, " B"]
    """log 1/K sum_k w_k in nats, a lower bound of log p(x) in expectation."""
    se: Float[Tensor, " B"]
    """Standard error of log_px in nats; not reliable where k_hat is above K_HAT_LIMIT."""
    ess: Float[Tensor, " B"]
    """Effective sample size, at most K."""
    k_hat: Float[Tensor, " B"]
    """Pareto shape of the weights' tail, NaN where K is too small to fit one."""

    @staticmethod
    def from_log_weights(log_w: Float[Tensor, "K B"]) -> ImportanceEstimate:
        """Return the estimate with its diagnostics."""
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
    """Return log w = log p(x,z) - log q(z|x) in nats for k samples z ~ q of each image; float64 on the CPU.

    Args:
        proposal: q of these B images, by default the encoder's.
        chunk: latents decoded at a time (at least one for each image), by default the device's fastest number.
    """
    q = vae.infer(x) if proposal is None else proposal
    at_once = max(1, (chunk or decodes_at_once(x.device)) // len(x))
    parts = []
    # The samples are split, not the images, so that all images draw from the generator in one order.
    for start in range(0, k, at_once):
        z, log_q = q.rsample_and_log_prob(min(at_once, k - start), generator)
        parts.append((vae.log_joint(x, z) - log_q).cpu().double())
    return torch.cat(parts)
