"""The interface of an encoder: a family is one file that implements it and registers its config."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.types import EventShape

LogJoint = Callable[[Tensor, Tensor], Tensor]
"""log p(x, z) of the model in nats: images (B, C, H, W) and latents (K, B, D) -> (K, B)."""


@dataclass(frozen=True)
class Stage:
    """A stage of training: its name, the parameters that it trains, and its share of the epochs."""

    name: str
    parameters: tuple[str, ...]
    """Prefixes of parameter names in the VAE ('encoder.', 'decoder.'); '' selects all."""
    share: float
    """Fraction of the epochs."""
    enter: Callable[[], None] | None = None
    """Puts the encoder into the state of this stage; called before each of its epochs, and idempotent."""
    reward: Callable[[LogJoint, Tensor, Posterior, torch.Generator | None], Tensor] | None = None
    """Function (log_joint, x, q, generator) -> (B,) nats that are added to each image's training surrogate."""
    rate: float = 1.0
    """Factor of the learning rate."""


ALL_AT_ONCE = (Stage("all", ("",), 1.0),)
"""A single stage that trains all parameters."""


class Encoder(nn.Module, ABC):
    """Network x -> q(z|x)."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "B C H W"]) -> Posterior:
        """Return q(z|x) of each image."""

    def global_kl(self) -> Float[Tensor, ""]:
        """Return the KL of the encoder's random weights to their prior, in nats; zero by default.

        Override in a Bayesian encoder.
        """
        return torch.zeros((), device=next(itertools.chain(self.parameters(), self.buffers())).device)

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages of training; by default one that trains everything.

        Override where the family grows during training or has a reward.
        """
        return ALL_AT_ONCE

    def size(self) -> Any:
        """Return a value that two encoders of this family must share to load each other's weights; None by default.

        Override where there are sizes besides those of the networks.
        """
        return None

    @property
    def origins(self) -> str:
        """Clause that names the runs from which this encoder can start, for the error message. Override it."""
        return "an encoder of this family can start only from a run trained with the same method and sizes"

    def plain_base(self) -> BaseFunctions | None:
        """Return b(x) and c(x) if q(z|x) = N(b, Diag(c)^2), else None (the default)."""
        return None

    def take_base(self, base: BaseFunctions) -> None:
        """Initialise this encoder from a trained VAE's b(x) and c(x). Override where the family can.

        Raises:
            UserError: the family cannot (the default).
        """
        raise UserError(self.origins)

    @final
    @torch.no_grad()
    def start_from(self, other: Encoder) -> None:
        """Initialise this encoder from a trained one: its weights if the family is the same, else its b(x) and c(x).

        Raises:
            UserError: neither the family and size nor the base functions fit.
        """
        base = other.plain_base()
        if type(other) is type(self) and other.size() == self.size():
            self.load_state_dict(other.state_dict())
        elif base is not None:
            self.take_base(base)
        else:
            raise UserError(self.origins)


class BaseFunctionEncoder(Encoder):
    """Encoder that is built on b(x) and c(x), and can load these from a trained VAE."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        super().__init__()
        self.base = BaseFunctions(net, event_shape, latent_dim)

    def take_base(self, base: BaseFunctions) -> None:
        """Load b(x) and c(x) from a trained VAE. Override where the family can use more of it."""
        self.base.load_state_dict(base.state_dict())


class EncoderConfig(PartConfig):
    """Settings of one family of encoders: only its own fields, all with defaults.

    >>> from gpvae_core.encoders.mixture import MixtureConfig
    >>> from gpvae_core.nets.fc import FullyConnectedConfig
    >>> MixtureConfig(components=5).build(FullyConnectedConfig(hidden=16), (1, 8, 8), latent_dim=2).size()
    5
    """

    family: ClassVar[str] = "posterior of its own"
    """The family of q(z|x) as it is called on the pages, such as 'diagonal Gaussian'."""

    @abstractmethod
    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Encoder:
        """Return the untrained encoder, its weights drawn from torch's global generator."""


ENCODERS: Registry[type[EncoderConfig]] = Registry("encoder", "gpvae_core.encoders")
