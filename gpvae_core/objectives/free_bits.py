"""The evidence lower bound with free bits, a remedy for posterior collapse."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.collapse import moment_kl
from gpvae_core.densities.base import Posterior
from gpvae_core.objectives.base import OBJECTIVES, BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.part import MOST


@OBJECTIVES.register("free_bits")
class FreeBitsConfig(ObjectiveConfig):
    """Evidence lower bound in whose gradient a KL below some nats per latent dimension is free (Kingma et al. 2016).

    The surrogate's KL is that of the ELBO plus, for each dimension, the difference by which the mini-batch's mean
    `moment_kl` is below the free nats: for a diagonal Gaussian the sum over dimensions of max(free, KL_d). For another
    family the part of the KL beyond its marginal moments is never free. Where mean and variance of a family have no
    gradient (they are sampled), all dimensions form one group with d times the free nats. A mixture's weights follow
    the ELBO and this difference. The reported value is the ELBO.
    """

    kind: ClassVar[str] = "free_bits"
    method: ClassVar[str] = "free-bits"
    free_nats: float = Field(
        default=0.25, ge=0, le=MOST, description="KL without penalty, in nats per latent dimension"
    )

    def _shortfall(self, q: Posterior, prior: Posterior, kl: Float[Tensor, " B"]) -> Float[Tensor, ""]:
        """Return the sum over groups of the nats by which their mean KL is below the free nats."""
        kl_by_dimension = moment_kl(q.mean, q.variance, prior)
        if kl_by_dimension.requires_grad or not kl.requires_grad:
            return (self.free_nats - kl_by_dimension.mean(0)).clamp_min(0.0).sum()
        return (self.free_nats * kl_by_dimension.shape[1] - kl.mean()).clamp_min(0.0)

    def estimate(self, batch: BatchPosteriors) -> Estimate:
        log_likelihood, kl = batch.elbo_terms()
        shortfall = self._shortfall(batch.q, batch.vae.prior(batch.x), kl)
        return Estimate((log_likelihood - kl).detach(), log_likelihood - batch.kl_weight * (kl + shortfall))
