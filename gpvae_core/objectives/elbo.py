"""The evidence lower bound, with the encoder's own KL term."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gpvae_core.bounds import elbo
from gpvae_core.objectives.base import OBJECTIVES, BatchAnswers, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, through_samples


def _with_kl_term(answers: BatchAnswers) -> Estimate:
    fit, kl = answers.elbo_terms()
    return Estimate((fit - kl).detach(), fit - answers.kl_weight * kl)


def _sticking_the_landing(answers: BatchAnswers) -> Estimate:
    draws = through_samples(answers)
    return Estimate(elbo(draws.measured), elbo(draws.log_w(answers.kl_weight)))


_ESTIMATORS = {"standard": _with_kl_term, "stl": _sticking_the_landing}


@OBJECTIVES.register("elbo")
class ElboConfig(ObjectiveConfig):
    """Evidence lower bound (Kim & Pavlovic 2021, eq. 2 and 15)."""

    kind: ClassVar[str] = "elbo"
    method: ClassVar[str] = ""
    gradient: Literal["standard", "stl"] = Field(default="standard", description=GRADIENT)

    def estimate(self, answers: BatchAnswers) -> Estimate:
        """Return E_q[log p(x|z)] - KL term. For the GP encoder q is the marginalised encoder and the KL term eq. 16.

        Sticking the landing samples the KL of q itself: for the GP encoder that of the marginalised encoder.
        """
        return _ESTIMATORS[self.gradient](answers)
