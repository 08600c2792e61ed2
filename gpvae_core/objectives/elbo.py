"""The evidence lower bound, with the encoder's own KL term."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import elbo
from gpvae_core.encoders.base import Posterior
from gpvae_core.objectives.base import OBJECTIVES, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, through_samples
from gpvae_core.vae import VAE


def _with_kl_term(
    vae: VAE, x: Tensor, q: Posterior, k: int, generator: torch.Generator | None, kl_weight: float
) -> Estimate:
    z, log_q = q.rsample_and_log_prob(k, generator)
    fit, kl = vae.log_likelihood(x, z).mean(0), q.kl(generator, (z, log_q))
    return Estimate((fit - kl).detach(), fit - kl_weight * kl)


def _sticking_the_landing(
    vae: VAE, x: Tensor, q: Posterior, k: int, generator: torch.Generator | None, kl_weight: float
) -> Estimate:
    found = through_samples(vae, x, q, k, generator)
    return Estimate(elbo(found.measured), elbo(found.log_w(kl_weight)))


_ESTIMATORS = {"standard": _with_kl_term, "stl": _sticking_the_landing}


@OBJECTIVES.register("elbo")
class ElboConfig(ObjectiveConfig):
    """Evidence lower bound (Kim & Pavlovic 2021, eq. 2 and 15)."""

    kind: ClassVar[str] = "elbo"
    method: ClassVar[str] = ""
    gradient: Literal["standard", "stl"] = Field(default="standard", description=GRADIENT)

    def estimate(
        self,
        vae: VAE,
        x: Tensor,
        q: Posterior,
        k: int,
        generator: torch.Generator | None = None,
        kl_weight: float = 1.0,
    ) -> Estimate:
        """E_q[log p(x|z)] - KL term. For the GP encoder q is the marginalised encoder and the KL term eq. 16.

        Sticking the landing samples the KL of q itself: for the GP encoder that of the marginalised encoder.
        """
        return _ESTIMATORS[self.gradient](vae, x, q, k, generator, kl_weight)
