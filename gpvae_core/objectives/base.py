"""The contract of an objective: a bound on log p(x) at an encoder's answers, and the surrogate to follow."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vae import VAE


@dataclass(frozen=True)
class Estimate:
    """A bound and its surrogate, per instance, in nats: the first is reported, the second differentiated."""

    value: Float[Tensor, " B"]
    surrogate: Float[Tensor, " B"]


@dataclass(frozen=True)
class BatchAnswers:
    """The answers q(z|x) about the images of a mini-batch, and how a bound at them is estimated."""

    vae: VAE
    x: Float[Tensor, "B C H W"]
    q: Posterior
    k: int
    """Samples of each image."""
    generator: torch.Generator | None = None
    kl_weight: float = 1.0
    """Scale of log q(z|x) - log p(z) in the surrogate alone (KL warm-up); the value is the bound itself."""

    def elbo_terms(self) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Return E_q[log p(x|z)] by K samples, and the KL term of the encoder's family, both in nats."""
        samples = self.q.rsample_and_log_prob(self.k, self.generator)
        fit = self.vae.log_likelihood(self.x, samples[0]).mean(0)
        return fit, self.vae.kl(self.x, self.q, self.generator, samples)


class ObjectiveConfig(PartConfig):
    """One objective. It has settings but no parameters, so the config is the objective."""

    @abstractmethod
    def estimate(self, answers: BatchAnswers) -> Estimate:
        """Return the bound at the answers, without the encoder's global KL."""


OBJECTIVES: Registry[type[ObjectiveConfig]] = Registry("objective", "gpvae_core.objectives")
