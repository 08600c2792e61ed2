"""The sleep phase: the encoder is trained to predict the latents of images drawn from the model."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.batch_norm import frozen_statistics
from gpvae_core.part import MOST
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.vae import VAE


@REGULARISERS.register("sleep")
class SleepConfig(RegulariserConfig):
    """Sleep phase: the encoder also maximises log q(z|x') at pairs z, x' drawn from the model (Hinton et al. 1995).

    With z ~ p(z) and x' ~ p(x|z) it minimises the mean of KL(p(z|x') || q(z|x')) over the model's images. In this
    direction the KL makes q cover the whole posterior, in the ELBO's direction it makes q seek a mode. It does not
    train the decoder, and q(z|x') is the encoder's, without a refiner.
    """

    kind: ClassVar[str] = "sleep"
    method: ClassVar[str] = "sleep"
    sleep: float = Field(default=1.0, ge=0, le=MOST, description="weight of log q(z|x') at pairs drawn from the model")

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        z, own_x = own_samples(vae, x, generator)
        with frozen_statistics(vae.encoder):
            own_q = vae.encoder(own_x)
        return -self.sleep * own_q.log_prob(z.unsqueeze(0)).squeeze(0)
