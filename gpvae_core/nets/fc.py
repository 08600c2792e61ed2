"""The fully connected stack, the default for 8x8 images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from pydantic import Field
from torch import nn

from gpvae_core.nets.base import HIDDEN, NETS, NetConfig
from gpvae_core.part import MOST_LAYERS, MOST_UNITS
from gpvae_core.types import EventShape


@NETS.register("fc")
class FullyConnectedConfig(NetConfig):
    """Fully connected layers: LeakyReLU(0.01) in the encoder, ReLU in the decoder (any image size)."""

    kind: ClassVar[str] = "fc"
    encoder_activation: ClassVar[Callable[[], nn.Module]] = partial(nn.LeakyReLU, 0.01)
    decoder_activation: ClassVar[Callable[[], nn.Module]] = nn.ReLU
    hidden: int = Field(default=128, gt=0, le=MOST_UNITS, description=HIDDEN)
    depth: int = Field(default=2, gt=0, le=MOST_LAYERS, description="number of hidden layers")

    @property
    def feature_dim(self) -> int:
        return self.hidden

    def trunk(self, event_shape: EventShape) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for d_in in (math.prod(event_shape), *[self.hidden] * (self.depth - 1)):
            layers += [nn.Linear(d_in, self.hidden), self.encoder_activation()]
        return nn.Sequential(*layers)

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        layers: list[nn.Module] = []
        for d_in in (latent_dim, *[self.hidden] * (self.depth - 1)):
            layers += [nn.Linear(d_in, self.hidden), self.decoder_activation()]
        return nn.Sequential(*layers, nn.Linear(self.hidden, math.prod(event_shape)), nn.Unflatten(1, event_shape))
