"""The interface of an objective: a bound on log p(x) at an encoder's posteriors, and the surrogate to differentiate."""

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
    """A bound and its surrogate for each image, in nats: the bound is reported, the surrogate differentiated."""

    value: Float[Tensor, " B"]
    surrogate: Float[Tensor, " B"]


@dataclass(frozen=True)
class BatchPosteriors:
    """The posteriors q(z|x) of a mini-batch, with the settings by which a bound is estimated."""

    vae: VAE
    x: Float[Tensor, "B C H W"]
    q: Posterior
    k: int
    """Number of samples for each image."""
    generator: torch.Generator | None = None
    kl_weight: float = 1.0
    """Factor of log q(z|x) - log p(z) in the surrogate (beta-VAE, KL warm-up), which the reported value has not."""

    def elbo_terms(self) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Return E_q[log p(x|z)] by K samples, and the KL term of the encoder's family, both in nats."""
        samples = self.q.rsample_and_log_prob(self.k, self.generator)
        log_likelihood = self.vae.log_likelihood(self.x, samples[0]).mean(0)
        return log_likelihood, self.vae.kl(self.x, self.q, self.generator, samples)


class ObjectiveConfig(PartConfig):
    """One objective; as it has settings but no parameters, the config is the objective itself."""

    @abstractmethod
    def estimate(self, batch: BatchPosteriors) -> Estimate:
        """Return the bound for each image of the batch, without the encoder's global KL."""


OBJECTIVES: Registry[type[ObjectiveConfig]] = Registry("objective", "gpvae_core.objectives")
