"""The contract of an objective: what of an encoder's answers is a bound, and whose gradient training follows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vae import VAE


@dataclass(frozen=True)
class Estimate:
    """A bound and its surrogate, per instance, in nats: the first is reported, the second differentiated."""

    value: Float[Tensor, " B"]
    surrogate: Float[Tensor, " B"]


class ObjectiveConfig(PartConfig):
    """One objective. It has settings but no parameters, so the config is the objective."""

    @abstractmethod
    def estimate(
        self,
        vae: VAE,
        x: Float[Tensor, "B C H W"],
        q: Posterior,
        k: int,
        generator: torch.Generator | None = None,
        kl_weight: float = 1.0,
    ) -> Estimate:
        """The bound at `q` from `k` samples of each image, without the encoder's global KL.

        `kl_weight` scales log q(z|x) - log p(z) in the surrogate alone (KL warm-up); the value is the bound itself.
        """


OBJECTIVES: Registry[type[ObjectiveConfig]] = Registry("objective", "gpvae_core.objectives")
