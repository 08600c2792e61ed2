"""The chi upper bound CUBO, minimised by the encoder."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field

from gpvae_core.bounds import cubo, iwae
from gpvae_core.objectives.base import OBJECTIVES, BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.part import MOST


@OBJECTIVES.register("cubo")
class CuboConfig(ObjectiveConfig):
    """Chi upper bound (Dieng et al. 2017): the encoder minimises it, the decoder maximises IWAE on the same samples.

    An upper bound cannot train a decoder, as minimising it lowers log p(x). The value is the K-sample CUBO, whose mean
    rises to the bound as K grows. The gradient of CUBO_n = 1/n log E_q[w^n] in the encoder is -(n - 1)/n
    E_q[w^n grad log q] / E_q[w^n], here with normalised weights: consistent in K, with mean zero at K = 1.
    Differentiating the K-sample value through z instead would reward a q that never samples where its weights are
    large. A KL weight below one tempers the weights, so that the encoder approximates the posterior proportional to
    p(z) p(x|z)^(1/weight), as with the ELBO. With a refiner that is differentiated in training, the decoder's gradient
    also flows through the refined posterior. The weights of a mixture follow the ELBO, as with every objective.
    """

    kind: ClassVar[str] = "cubo"
    method: ClassVar[str] = "cubo"
    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 10}
    order: float = Field(default=2.0, gt=1, le=MOST, allow_inf_nan=False, description="order n of the chi divergence")

    def estimate(self, batch: BatchPosteriors) -> Estimate:
        vae, x, q = batch.vae, batch.x, batch.q
        # Samples without a gradient: the score function grad log q is the encoder's only gradient.
        z = q.rsample_and_log_prob(batch.k, batch.generator)[0].detach()
        log_q = q.with_weights_fixed().log_prob(z)
        log_likelihood, log_ratio = vae.log_likelihood(x, z), (log_q - vae.prior(x).log_prob(z)).detach()
        log_w = log_likelihood - batch.kl_weight * log_ratio
        v = torch.softmax(self.order * log_w.detach(), 0)
        # Its gradient is (n - 1)/n sum_k v_k grad log q(z_k), minus that of CUBO_n.
        encoder_surrogate = (1.0 - 1.0 / self.order) * (v * log_q).sum(0)
        value = cubo((log_likelihood - log_ratio).detach(), self.order)
        return Estimate(value, iwae(log_w) + encoder_surrogate)
