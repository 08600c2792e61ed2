"""The interface of a network stack: an encoder trunk x -> features, and a decoder z -> image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from torch import nn

from gpvae_core.registry import Registry
from gpvae_core.types import EventShape

HIDDEN = "units of the fully connected layer(s), h (conv at 32x32 and 64x64: 512)"
"""Help text of `hidden`, which is the same in every stack."""


class NetConfig(BaseModel, ABC):
    """Settings of one network stack."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """p = h, the width of the last hidden layer of the encoder."""

    @abstractmethod
    def trunk(self, event_shape: EventShape) -> nn.Module:
        """Return the encoder without its last layer, (B, C, H, W) -> (B, p); also the GP's features psi(x)."""

    @abstractmethod
    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        """Return g_theta(z), (B, D) -> (B, C, H, W)."""


NETS: Registry[type[NetConfig]] = Registry("network", "gpvae_core.nets")
