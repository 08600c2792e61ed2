"""The base of K-sample bounds, whose value and surrogate are one function of log w, without and with gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.objectives.base import BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, Gradient, draw


class MultiSampleConfig(ObjectiveConfig):
    """Settings of a bound F(log w_1, ..., log w_K); K is `train.samples`.

    For the GP encoder q(z|x) in log w is the marginalised encoder (Kim & Pavlovic 2021, eq. 13), as eq. 16 has no
    K-sample form; the training bound subtracts the global KL as for every objective.
    """

    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 10}
    gradient: Gradient = Field(default="standard", description=GRADIENT)

    @abstractmethod
    def bound(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
        """Return F of each image in nats."""

    @abstractmethod
    def damping(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, "K B"]:
        """Return F_kk / F_k for each sample, the second over the first derivative of F in log w_k."""

    def draws(self, k: int) -> int:
        """Return the number of samples drawn for each image if `train.samples` is k: k, by default."""
        return k

    @final
    def estimate(self, batch: BatchPosteriors) -> Estimate:
        draws = draw(self.gradient, batch, self.draws(batch.k), self.damping)
        return Estimate(self.bound(draws.detached_log_w), self.bound(draws.log_w(batch.kl_weight)))
