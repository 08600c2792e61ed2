"""Self-consistent training: the encoder is also trained on images drawn from the model."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.objectives.gradients import latent_log_likelihood
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.vae import VAE


@REGULARISERS.register("self_consistent")
class SelfConsistentConfig(RegulariserConfig):
    """Self-consistent training: the encoder also maximises the ELBO at images drawn from the model (Zhang et al. 2022).

    The encoder is trained on a mixture of training images and images x' ~ p(x|z), z ~ p(z), of which there are
    unlimited ones; own_share is the fraction of the latter (Ganguly et al. 2023, sec. 5.2.3). Decoder and likelihood
    are trained on the training images alone. q(z|x') is the encoder's, without a refiner, and its ELBO has no KL
    warm-up.
    """

    kind: ClassVar[str] = "self_consistent"
    method: ClassVar[str] = "sc-vae"
    own_share: float = Field(
        default=0.5, ge=0, lt=1, description="fraction of images drawn from the model in the encoder's training"
    )

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        """Return minus own_share / (1 - own_share) times the ELBO at images drawn from the model."""
        _, own_x = own_samples(vae, x, generator)
        with frozen_statistics(vae.encoder):
            own_q = vae.encoder(own_x)
        z, log_q = own_q.rsample_and_log_prob(1, generator)
        elbo = latent_log_likelihood(vae, own_x, z).mean(0) - vae.kl(own_x, own_q, generator, (z, log_q))
        # Relative to the training images' term, which has weight 1 instead of 1 - own_share.
        return -self.own_share / (1.0 - self.own_share) * elbo
