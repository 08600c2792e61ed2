"""The chi upper bound, minimised by the encoder."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field

from gpvae_core.bounds import cubo, iwae
from gpvae_core.objectives.base import OBJECTIVES, BatchAnswers, Estimate, ObjectiveConfig


@OBJECTIVES.register("cubo")
class CuboConfig(ObjectiveConfig):
    """Chi upper bound (Dieng et al. 2017): the encoder minimises it, the decoder follows IWAE on the same samples.

    An upper bound cannot train a decoder: it falls with log p(x). The value is the K-sample CUBO; its mean rises to the
    bound as K grows. The gradient of CUBO_n = 1/n log E_q[w^n] in the encoder is -(n - 1)/n E_q[w^n grad log q] /
    E_q[w^n], here with normalised weights: consistent in K, and zero in the mean at K = 1. Differentiating the K-sample
    value through z instead would reward a q that never samples where its weights are large. A KL weight below one
    tempers the weights, so that the encoder goes for the posterior proportional to p(z) p(x|z)^(1/weight), as with the
    ELBO. With a refiner that training goes through, the decoder also moves with the refined answer.
    """

    kind: ClassVar[str] = "cubo"
    method: ClassVar[str] = "cubo"
    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 10}
    order: float = Field(default=2.0, gt=1, allow_inf_nan=False, description="order n of the chi divergence")

    def estimate(self, answers: BatchAnswers) -> Estimate:
        vae, x, q = answers.vae, answers.x, answers.q
        z = q.rsample_and_log_prob(answers.k, answers.generator)[0].detach()
        log_q = q.log_prob(z)
        fit, excess = vae.log_likelihood(x, z), (log_q - vae.prior(x).log_prob(z)).detach()
        log_w = fit - answers.kl_weight * excess
        v = torch.softmax(self.order * log_w.detach(), 0)
        follows = (1.0 - 1.0 / self.order) * (v * log_q).sum(0)
        return Estimate(cubo((fit - excess).detach(), self.order), iwae(log_w) + follows)
