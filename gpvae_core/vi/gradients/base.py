"""The interface of an estimator of the ELBO's gradient from samples, and its variance."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vi.families.base import VIFamily
from gpvae_core.vi.targets.base import VITarget


@dataclass(frozen=True)
class Drawn:
    """What a gradient is estimated from: a target, a family, K samples of q(z), and a batch of the data."""

    target: VITarget
    family: VIFamily
    k: int
    generator: torch.Generator
    index: Int[Tensor, " M"] | None = None
    """Data points of the batch; None for all."""

    def log_density(self, z: Float[Tensor, "K D"]) -> Float[Tensor, " K"]:
        """Return log p(x, z) in nats, estimated from the batch."""
        return self.target.log_density(z, self.index)


class GradientConfig(PartConfig):
    """One estimator; as it has no parameters of its own, the config is the estimator itself."""

    method: ClassVar[str] = ""
    mean_field: ClassVar[bool] = False
    """Whether it takes a mean-field family alone."""

    @abstractmethod
    def estimate(self, draw: Drawn) -> Float[Tensor, " P"]:
        """Return an estimate of the ELBO's gradient in the family's parameters, in nats for each unit of them."""


GRADIENTS: Registry[type[GradientConfig]] = Registry("gradient estimator", "gpvae_core.vi.gradients")


def flat_gradient(value: Float[Tensor, ""], family: VIFamily) -> Float[Tensor, " P"]:
    """Return the gradient of a scalar in the family's parameters, one after another."""
    parameters = tuple(family.parameters())
    gradients = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def scores(log_q: Float[Tensor, " K"], family: VIFamily) -> Float[Tensor, "K P"]:
    """Return the score function, the gradient of log q(z_k) in the parameters, of each sample."""
    each = torch.eye(len(log_q)).to(log_q)
    parameters = tuple(family.parameters())
    gradients = torch.autograd.grad(
        log_q, parameters, each, is_grads_batched=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([gradient.reshape(len(log_q), -1) for gradient in gradients], 1)


def gradient_variance(
    gradient: GradientConfig,
    target: VITarget,
    family: VIFamily,
    k: int,
    batch: int = 0,
    repeats: int = 200,
    seed: int = 0,
) -> Float[Tensor, " P"]:
    """Return the variance of an estimator of the ELBO's gradient by K samples, for each parameter (sec. 3.3).

    Args:
        batch: number of data points in a batch, drawn anew for each estimate; 0 for all.
    """
    generator = torch.Generator().manual_seed(seed)
    estimates = [
        gradient.estimate(Drawn(target, family, k, generator, drawn_batch(target.n, batch, generator)))
        for _ in range(repeats)
    ]
    return torch.stack(estimates).var(0)


def drawn_batch(n: int, batch: int, generator: torch.Generator) -> Int[Tensor, " M"] | None:
    """Drawn the indices of a batch without replacement; None for all data points."""
    return torch.randperm(n, generator=generator)[:batch] if 0 < batch < n else None
