"""Sleep: the encoder finds the latents that the model's own images were made from."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.vae import VAE


@REGULARISERS.register("sleep")
class SleepConfig(RegulariserConfig):
    """Sleep phase: the encoder also maximises log q(z|x') at the model's own pairs z, x' (Hinton et al. 1995).

    z ~ p(z), x' ~ p(x|z). It minimises KL(p(z|x') || q(z|x')) in the mean over the model's images, which covers all of
    the posterior, where the ELBO's other direction picks a mode. The decoder does not move with it, and the answer
    about x' is the encoder's own, without a refiner.
    """

    kind: ClassVar[str] = "sleep"
    method: ClassVar[str] = "sleep"
    sleep: float = Field(default=1.0, ge=0, description="weight of log q(z|x') at the model's own pairs")

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        z, own = own_samples(vae, x, generator)
        with frozen_statistics(vae.encoder):
            answer = vae.encoder(own)
        return -self.sleep * answer.log_prob(z.unsqueeze(0)).squeeze(0)
