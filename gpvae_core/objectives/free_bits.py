"""The evidence lower bound with free bits, against posterior collapse."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.collapse import moment_kl
from gpvae_core.densities.base import Posterior
from gpvae_core.objectives.base import OBJECTIVES, BatchAnswers, Estimate, ObjectiveConfig


@OBJECTIVES.register("free_bits")
class FreeBitsConfig(ObjectiveConfig):
    """Evidence lower bound in whose gradient a KL below some nats per latent dimension is free (Kingma et al. 2016).

    The surrogate's KL is that of the ELBO plus, for each dimension, what the mini-batch's mean `moment_kl` lacks to the
    free nats: the sum over dimensions of max(free, KL_d) for a diagonal Gaussian. For another family the part of the KL
    beyond its marginal moments is never free. Where mean and variance of a family carry no gradient (they are sampled),
    all dimensions are one group, which has their free nats together. The reported value is the ELBO.
    """

    kind: ClassVar[str] = "free_bits"
    method: ClassVar[str] = "free-bits"
    free_nats: float = Field(default=0.25, ge=0, description="KL that is free, in nats per latent dimension")

    def _missing(self, q: Posterior, kl: Float[Tensor, " B"], d: int) -> Float[Tensor, ""]:
        """Return what the KL of the groups lacks to the free nats, in nats an image."""
        of_dimensions = moment_kl(q.mean, q.variance)
        if of_dimensions.requires_grad or not kl.requires_grad:
            return (self.free_nats - of_dimensions.mean(0)).clamp_min(0.0).sum()
        return (self.free_nats * d - kl.mean()).clamp_min(0.0)

    def estimate(self, answers: BatchAnswers) -> Estimate:
        fit, kl = answers.elbo_terms()
        missing = self._missing(answers.q, kl, answers.vae.latent_dim)
        return Estimate((fit - kl).detach(), fit - answers.kl_weight * (kl + missing))
