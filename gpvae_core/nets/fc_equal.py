"""A fully connected decoder with as many parameters as the convolutional one (Kim & Pavlovic 2021, Table 10)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from gpvae_core.nets.base import HIDDEN, NETS, NetConfig
from gpvae_core.nets.conv import LAYERS, ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.part import MOST_UNITS
from gpvae_core.types import EventShape


def closest_width(parameters: int, latent_dim: int, pixels: int) -> int:
    """Return the width w >= 1 of two hidden layers with which a decoder has about so many parameters.

    A decoder with d latent dimensions and P pixels has w^2 + w (d + P + 2) + P parameters.
    """
    # The positive root of w^2 + b w + P = parameters, b = d + P + 2.
    b = latent_dim + pixels + 2
    root = 0.5 * (math.sqrt(b**2 + 4.0 * max(parameters - pixels, 0)) - b)
    candidates = max(1, math.floor(root)), max(1, math.ceil(root))
    return min(candidates, key=lambda w: abs(w * (w + b) + pixels - parameters))


@NETS.register("fc_equal")
class EqualConfig(NetConfig):
    """Convolutional encoder; fully connected decoder with two layers and as many parameters as conv's (Table 10)."""

    kind: ClassVar[str] = "fc_equal"
    hidden: int = Field(default=256, gt=0, le=MOST_UNITS, description=HIDDEN)
    layers: int = Field(default=3, ge=2, le=5, description=LAYERS)

    @property
    def _conv(self) -> ConvConfig:
        return ConvConfig(hidden=self.hidden, layers=self.layers)

    @property
    def feature_dim(self) -> int:
        return self._conv.feature_dim

    def trunk(self, event_shape: EventShape) -> nn.Module:
        return self._conv.trunk(event_shape)

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        """Return Linear, ReLU, Linear, ReLU, Linear with about as many parameters as the convolutional decoder."""
        # On the meta device the convolutional decoder has shapes but no memory: only its parameters are counted.
        with torch.device("meta"):
            parameters = sum(p.numel() for p in self._conv.decoder(latent_dim, event_shape).parameters())
        width = closest_width(parameters, latent_dim, math.prod(event_shape))
        return FullyConnectedConfig(hidden=width, depth=2).decoder(latent_dim, event_shape)
