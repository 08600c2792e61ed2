"""The contract of an encoder: what makes "one file per family" true."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

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
    """A stretch of training: its name, the parameters it moves, and its share of the epochs."""

    name: str
    parameters: tuple[str, ...]
    """Prefixes of names in the VAE ('encoder.', 'decoder.'); '' stands for all."""
    share: float
    enter: Callable[[], None] | None = None
    """It is called before each epoch of the stage, to put the encoder into its state; a second call changes nothing."""
    reward: Callable[[LogJoint, Tensor, Posterior, torch.Generator | None], Tensor] | None = None
    """It gives what the stage adds to the training surrogate of each image, (B,) nats: (log_joint, x, q, generator)."""


ALL_AT_ONCE = (Stage("all", ("",), 1.0),)


class Encoder(nn.Module, ABC):
    """The map x -> q(z|x)."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "B C H W"]) -> Posterior: ...

    def global_kl(self) -> Float[Tensor, ""]:
        """Return the KL of the encoder's own random weights to their prior, in nats; zero here.

        Override in a Bayesian encoder.
        """
        return torch.zeros((), device=next(itertools.chain(self.parameters(), self.buffers())).device)

    def stages(self) -> tuple[Stage, ...]:
        """Return what is trained when; all at once here. Override where the family grows, or has a reward."""
        return ALL_AT_ONCE

    def size(self) -> Any:
        """Return what encoders of this family must have in common to take over each other's weights; None here.

        Override where there are sizes beside those of the networks.
        """
        return None

    @property
    def origins(self) -> str:
        """Say what this encoder can start from, for the message where it cannot. Override with the family's name."""
        return "an encoder of this family can start only from a run trained with the same method and sizes"

    def plain_base(self) -> BaseFunctions | None:
        """Return b(x) and c(x) where q(z|x) = N(b, Diag(c)^2); None here. Override in the plain encoder alone."""
        return None

    def take_base(self, base: BaseFunctions) -> None:
        """Start from a trained VAE's b(x) and c(x); refused here. Override where the family can. Raises UserError."""
        raise UserError(self.origins)

    @final
    @torch.no_grad()
    def start_from(self, other: Encoder) -> None:
        """Take over what a trained encoder of this or a simpler family knows. Raises UserError where nothing fits."""
        base = other.plain_base()
        if type(other) is type(self) and other.size() == self.size():
            self.load_state_dict(other.state_dict())
        elif base is not None:
            self.take_base(base)
        else:
            raise UserError(self.origins)


class BaseFunctionEncoder(Encoder):
    """An encoder that is built on b(x) and c(x), and can take these over from a trained VAE."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        super().__init__()
        self.base = BaseFunctions(net, event_shape, latent_dim)

    def take_base(self, base: BaseFunctions) -> None:
        """Take over b(x) and c(x). Override where more of a VAE is of use."""
        self.base.load_state_dict(base.state_dict())


class EncoderConfig(PartConfig):
    """Settings of one family: only its own fields, defaults that work.

    >>> from gpvae_core.encoders.mixture import MixtureConfig
    >>> from gpvae_core.nets.fc import FullyConnectedConfig
    >>> MixtureConfig(components=5).build(FullyConnectedConfig(hidden=16), (1, 8, 8), latent_dim=2).size()
    5
    """

    @abstractmethod
    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Encoder:
        """Return the untrained encoder; random weights come from torch's global generator."""


ENCODERS: Registry[type[EncoderConfig]] = Registry("encoder", "gpvae_core.encoders")
