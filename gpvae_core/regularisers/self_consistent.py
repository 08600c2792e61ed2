"""Self-consistent training: the encoder also answers about the model's own images."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.objectives.gradients import encoder_fit
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.vae import VAE


@REGULARISERS.register("self_consistent")
class SelfConsistentConfig(RegulariserConfig):
    """Self-consistent training: the encoder follows the ELBO at the model's own images too (Zhang et al. 2022).

    Review, sec. 5.2.3: what the encoder learns from is a mixture of training images and images x' ~ p(x|z), z ~ p(z),
    of which there is no end; own_share is the share of the latter. Decoder and likelihood follow the training images
    alone. The answer about x' is the encoder's own, without a refiner, and its ELBO has no KL warm-up.
    """

    kind: ClassVar[str] = "self_consistent"
    method: ClassVar[str] = "sc-vae"
    own_share: float = Field(
        default=0.5, ge=0, lt=1, description="share of the model's own images among those that the encoder learns from"
    )

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        """Return minus own_share / (1 - own_share) times the ELBO at own images, beside the training bound."""
        _, own = own_samples(vae, x, generator)
        with frozen_statistics(vae.encoder):
            answer = vae.encoder(own)
        z, log_q = answer.rsample_and_log_prob(1, generator)
        elbo = encoder_fit(vae, own, z).mean(0) - vae.kl(own, answer, generator, (z, log_q))
        return -self.own_share / (1.0 - self.own_share) * elbo
