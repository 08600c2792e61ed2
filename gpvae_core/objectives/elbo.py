"""The evidence lower bound, with the encoder's own KL term."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.objectives.base import OBJECTIVES, Estimate, ObjectiveConfig
from gpvae_core.vae import VAE


@OBJECTIVES.register("elbo")
class ElboConfig(ObjectiveConfig):
    """Evidence lower bound (Kim & Pavlovic 2021, eq. 2 and 15)."""

    kind: ClassVar[str] = "elbo"
    method: ClassVar[str] = ""

    def estimate(
        self,
        vae: VAE,
        x: Tensor,
        q: Posterior,
        k: int,
        generator: torch.Generator | None = None,
        kl_weight: float = 1.0,
    ) -> Estimate:
        """E_q[log p(x|z)] - KL term. For the GP encoder q is the marginalised encoder and the KL term eq. 16."""
        z, log_q = q.rsample_and_log_prob(k, generator)
        fit, kl = vae.log_likelihood(x, z).mean(0), q.kl(generator, (z, log_q))
        return Estimate((fit - kl).detach(), fit - kl_weight * kl)
