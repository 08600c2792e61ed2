"""PIWAE: importance-weighted bounds with different numbers of samples for decoder and encoder."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import iwae, piwae
from gpvae_core.objectives.base import OBJECTIVES, BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, Gradient, draw, latent_log_likelihood
from gpvae_core.part import MOST_SAMPLES


@OBJECTIVES.register("piwae")
class PiwaeConfig(ObjectiveConfig):
    """Importance-weighted bound of all samples for the decoder, mean bound of their groups for the encoder.

    A tight bound is best for the decoder, while the encoder's gradient loses its signal-to-noise ratio as the bound
    becomes tight (Rainforth et al. 2018). The reported value is the tight bound. The images are decoded twice, once for
    each gradient. As for every K-sample bound, q(z|x) of the GP encoder is the marginalised one.
    """

    kind: ClassVar[str] = "piwae"
    method: ClassVar[str] = "piwae"
    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 5}
    groups: int = Field(
        default=4, ge=1, le=MOST_SAMPLES, description="number M of groups, each of train.samples samples"
    )
    gradient: Gradient = Field(default="standard", description=GRADIENT)

    def _in_groups(self, log_w: Tensor) -> Tensor:
        return log_w.unflatten(0, (self.groups, -1))

    def _damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k of the encoder's bound, one minus the weight normalised within its group."""
        return 1.0 - torch.softmax(self._in_groups(log_w), 1).flatten(0, 1)

    def estimate(self, batch: BatchPosteriors) -> Estimate:
        weight = batch.kl_weight
        draws = draw(self.gradient, batch, self.groups * batch.k, self._damping, latent_log_likelihood)
        # Decoder: log w at constant z. Encoder: log w with a constant decoder. So each gradient is that of its bound.
        decoder_log_w = batch.vae.log_likelihood(batch.x, draws.z.detach()) - weight * draws.log_ratio.detach()
        _, encoder_bound = piwae(self._in_groups(draws.log_w(weight)))
        value, _ = piwae(self._in_groups(draws.detached_log_w))
        return Estimate(value, iwae(decoder_log_w) + encoder_bound)
