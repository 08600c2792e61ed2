"""The interface of a refiner: (model, x, q) -> a better q, at test time or as a part of training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior, Samples
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.types import EventShape


@runtime_checkable
class Model(Protocol):
    """Protocol of the members of a VAE that a refiner uses; `gpvae_core.vae.VAE` is in a layer above this module."""

    decoder: nn.Module
    likelihood: Any
    latent_dim: int
    event_shape: EventShape

    def decode(self, z: Tensor) -> Tensor: ...

    def prior(self, x: Tensor) -> Posterior: ...

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor: ...

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor: ...

    def kl(
        self, x: Tensor, q: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Tensor: ...


class Refiner(nn.Module, ABC):
    """Improves an encoder's posterior step by step."""

    @abstractmethod
    def path(
        self, model: Model, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
    ) -> Sequence[Posterior]:
        """Return q and the posterior after each step; the last one is the refined posterior.

        A refiner computes the gradients that it needs in z or in q's parameters even under `torch.no_grad()`. Where
        gradients are enabled, the steps stay in the autograd graph, so that training differentiates through them;
        elsewhere the posteriors are detached. `base()` of every posterior is q, the encoder's own.
        """

    def check(self, model: Model) -> None:
        """Raise a UserError if this refiner cannot work with `model`; by default it can.

        Override where a refiner needs more of a model than the gradient of log p(x|z).
        """

    def forward(
        self, model: Model, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
    ) -> Posterior:
        """Return the refined posterior, the last one of `path`."""
        return self.path(model, x, q, generator)[-1]


class RefinerConfig(PartConfig):
    """Settings of one refiner: only its own fields, all with defaults."""

    second_derivatives: ClassVar[bool] = False
    """Whether training needs second derivatives of the decoder, which a compiled decoder does not have."""

    @abstractmethod
    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Refiner:
        """Return the untrained refiner, its weights drawn from torch's global generator."""


REFINERS: Registry[type[RefinerConfig]] = Registry("refiner", "gpvae_core.refiners")
