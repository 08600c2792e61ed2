"""Importance-weighted bounds of different size for decoder and encoder."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import iwae, piwae
from gpvae_core.objectives.base import OBJECTIVES, BatchAnswers, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, Gradient, draw, encoder_fit


@OBJECTIVES.register("piwae")
class PiwaeConfig(ObjectiveConfig):
    """Importance-weighted bound of all samples for the decoder, mean bound of their groups for the encoder.

    Rainforth et al. 2018: the decoder wants a tight bound, the encoder one whose gradient has a signal. The reported
    value is the tight one. The images are decoded twice, once for each gradient. As for every K-sample bound, q(z|x) of
    the GP encoder is the marginalised one.
    """

    kind: ClassVar[str] = "piwae"
    method: ClassVar[str] = "piwae"
    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 5}
    groups: int = Field(default=4, ge=1, description="groups of train.samples samples each, M")
    gradient: Gradient = Field(default="standard", description=GRADIENT)

    def _in_groups(self, log_w: Tensor) -> Tensor:
        return log_w.unflatten(0, (self.groups, -1))

    def _damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k of the encoder's bound, one minus the weight normalised within its group."""
        return 1.0 - torch.softmax(self._in_groups(log_w), 1).flatten(0, 1)

    def estimate(self, answers: BatchAnswers) -> Estimate:
        weight = answers.kl_weight
        draws = draw(self.gradient, answers, self.groups * answers.k, self._damping, fit=encoder_fit)
        decoder_log_w = answers.vae.log_likelihood(answers.x, draws.z.detach()) - weight * draws.excess.detach()
        _, encoder_bound = piwae(self._in_groups(draws.log_w(weight)))
        value, _ = piwae(self._in_groups(draws.measured))
        return Estimate(value, iwae(decoder_log_w) + encoder_bound)
