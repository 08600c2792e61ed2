"""What bounds of K samples have in common: value and surrogate are one function of log w, with or without gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.objectives.base import Estimate, ObjectiveConfig
from gpvae_core.objectives.gradients import GRADIENT, Gradient, draw
from gpvae_core.vae import VAE


class MultiSampleConfig(ObjectiveConfig):
    """A bound F(log w_1, ..., log w_K); K is `train.samples`.

    For the GP encoder q(z|x) in log w is the marginalised encoder (Kim & Pavlovic 2021, eq. 13), as eq. 16 has no
    K-sample form; the global KL is taken off in the training bound as ever.
    """

    count: ClassVar[str] = "train.samples"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 10}
    gradient: Gradient = Field(default="standard", description=GRADIENT)

    @abstractmethod
    def bound(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
        """F, in nats."""

    @abstractmethod
    def damping(self, log_w: Float[Tensor, "K B"]) -> Float[Tensor, "K B"]:
        """F_kk / F_k for each sample, second over first derivative of F in log w_k."""

    @abstractmethod
    def draws(self, k: int) -> int:
        """Samples drawn of each image where `train.samples` is k."""

    @final
    def estimate(
        self,
        vae: VAE,
        x: Tensor,
        q: Posterior,
        k: int,
        generator: torch.Generator | None = None,
        kl_weight: float = 1.0,
    ) -> Estimate:
        found = draw(self.gradient, vae, x, q, self.draws(k), generator, kl_weight, self.damping)
        return Estimate(self.bound(found.measured), self.bound(found.log_w(kl_weight)))
