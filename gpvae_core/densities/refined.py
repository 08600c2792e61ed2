"""A refined posterior together with the encoder's posterior from which refinement started."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Posterior, Samples, Uncertainty


class RefinedPosterior(Posterior):
    """Density `refined`, whose `base()` is the encoder's posterior `start` and whose uncertainty is the encoder's."""

    base_name: ClassVar[str] = "q(z|x) before refinement"

    def __init__(self, refined: Posterior, start: Posterior) -> None:
        self.refined, self.start = refined, start

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        return self.refined.rsample_and_log_prob(k, generator)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self.refined.log_prob(z)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.refined.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.refined.variance

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return KL(q || prior) of the refined density in nats."""
        return self.refined.kl(prior, generator, samples)

    def as_gaussian(self) -> Gaussian | None:
        return self.refined.as_gaussian()

    def detached(self) -> Posterior:
        return self.refined.detached()

    def base(self) -> Posterior:
        return self.start

    def uncertainty(self) -> Uncertainty | None:
        return self.start.uncertainty()
