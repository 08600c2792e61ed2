"""Bounds of K samples have this in common: value and surrogate are one function of log w, with or without gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.objectives.base import BatchAnswers, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, Gradient, draw


class MultiSampleConfig(ObjectiveConfig):
    """A bound F(log w_1, ..., log w_K); K is `train.samples`.

    For the GP encoder q(z|x) in log w is the marginalised encoder (Kim & Pavlovic 2021, eq. 13), as eq. 16 has no
    K-sample form; the global KL is taken off in the training bound as for every objective.
    """

    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 10}
    gradient: Gradient = Field(default="standard", description=GRADIENT)

    @abstractmethod
    def bound(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
        """Return F, in nats."""

    @abstractmethod
    def damping(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, "K B"]:
        """Return F_kk / F_k for each sample, second over first derivative of F in log w_k."""

    def draws(self, k: int) -> int:
        """Return how many samples of each image are drawn where `train.samples` is k, here k. Override with groups."""
        return k

    @final
    def estimate(self, answers: BatchAnswers) -> Estimate:
        draws = draw(self.gradient, answers, self.draws(answers.k), self.damping)
        return Estimate(self.bound(draws.measured), self.bound(draws.log_w(answers.kl_weight)))
