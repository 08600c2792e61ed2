"""The evidence lower bound, with the encoder's own KL term."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gpvae_core.bounds import elbo
from gpvae_core.objectives.base import OBJECTIVES, BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, through_samples


def _with_kl_term(batch: BatchPosteriors) -> Estimate:
    """Return the ELBO with the family's KL term, in closed form where there is one."""
    log_likelihood, kl = batch.elbo_terms()
    return Estimate((log_likelihood - kl).detach(), log_likelihood - batch.kl_weight * kl)


def _sticking_the_landing(batch: BatchPosteriors) -> Estimate:
    """Return the ELBO as the mean of log w, whose gradient goes through the samples alone."""
    draws = through_samples(batch)
    return Estimate(elbo(draws.detached_log_w), elbo(draws.log_w(batch.kl_weight)))


_ESTIMATORS = {"standard": _with_kl_term, "stl": _sticking_the_landing}


@OBJECTIVES.register("elbo")
class ElboConfig(ObjectiveConfig):
    """Evidence lower bound (Kim & Pavlovic 2021, eq. 2 and 15)."""

    kind: ClassVar[str] = "elbo"
    method: ClassVar[str] = ""
    gradient: Literal["standard", "stl"] = Field(default="standard", description=GRADIENT)

    def estimate(self, batch: BatchPosteriors) -> Estimate:
        """Return E_q[log p(x|z)] minus the KL term: for the GP encoder, q of eq. 13 and the term of eq. 16.

        Sticking the landing samples the KL of q itself, which for the GP encoder is that of the marginalised encoder.
        """
        return _ESTIMATORS[self.gradient](batch)
