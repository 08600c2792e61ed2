"""The contract of a refiner: (model, x, q) -> a better q, at test time or, trained through, in training."""

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
    """The part of a VAE that a refiner works with (`gpvae_core.vae.VAE`, which stands above this module)."""

    decoder: nn.Module
    likelihood: Any
    latent_dim: int
    event_shape: EventShape

    def decode(self, z: Tensor) -> Tensor: ...

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor: ...

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor: ...

    def kl(
        self, x: Tensor, q: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Tensor: ...


class Refiner(nn.Module, ABC):
    """Makes an encoder's answer better, step by step."""

    @abstractmethod
    def path(
        self,
        model: Model,
        x: Float[Tensor, "B C H W"],
        q: Posterior,
        generator: torch.Generator | None = None,
    ) -> Sequence[Posterior]:
        """Return q itself, and the answer after each step; the last one is the refined posterior.

        Gradients with respect to z or to q's parameters are had even under `torch.no_grad()`. Where gradients are
        enabled, the steps stay in the graph, so that training goes through them; the answers are detached elsewhere.
        `base()` of every answer is q, the encoder's own answer.
        """

    def check(self, model: Model) -> None:
        """Raise UserError where this refiner cannot refine answers about `model`; it can always, here.

        Override where more is needed of a model than the gradient of log p(x|z).
        """

    def forward(
        self,
        model: Model,
        x: Float[Tensor, "B C H W"],
        q: Posterior,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        return self.path(model, x, q, generator)[-1]


class RefinerConfig(PartConfig):
    """Settings of one refiner: only its own fields, defaults that work."""

    second_derivatives: ClassVar[bool] = False
    """Whether training goes through second derivatives of the decoder, which a compiled one does not have."""

    @abstractmethod
    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Refiner:
        """Return the untrained refiner; random weights come from torch's global generator."""


REFINERS: Registry[type[RefinerConfig]] = Registry("refiner", "gpvae_core.refiners")
