"""The convolutional stack of Casale et al. 2018 for 28x28 images, as in Jazbec et al. 2021, Table A.2."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.nets.base import NETS, NetConfig
from gpvae_core.nets.doubling import DoublingConvolution, glorot
from gpvae_core.part import MOST_UNITS
from gpvae_core.types import EventShape

KERNEL, SIDE = 3, 28
SMALL, LAST = 4, 2
"""Sides of the decoder's first feature map, and of the encoder's last."""


@NETS.register("casale")
class CasaleConfig(NetConfig):
    """Three convolutions 3x3 of 8 filters with ELU for 28x28 images (Jazbec et al. 2021, Table A.2).

    The encoder's convolutions have stride 2 and no padding, and its features are the last ones as they are. In the
    decoder a linear layer without activation is followed by three doublings, each with a convolution; the last has an
    ELU too, so that pixels are greater than -1, as in the public code. Weights are Glorot's.
    """

    kind: ClassVar[str] = "casale"
    filters: int = Field(default=8, gt=0, le=MOST_UNITS, description="filters of each convolution")

    @property
    def feature_dim(self) -> int:
        return LAST**2 * self.filters

    def trunk(self, event_shape: EventShape) -> nn.Module:
        channels = _checked(event_shape)
        layers: list[nn.Module] = []
        for c_in in (channels, self.filters, self.filters):
            layers += [nn.Conv2d(c_in, self.filters, KERNEL, stride=2), nn.ELU()]
        return glorot(nn.Sequential(*layers, nn.Flatten()))

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        channels, f = _checked(event_shape), self.filters
        layers: list[nn.Module] = [nn.Linear(latent_dim, SMALL**2 * f), nn.Unflatten(1, (f, SMALL, SMALL))]
        # 4 -> 8 -> 16, without padding 14 -> 28
        for c_out, padding in ((f, 1), (f, 0), (channels, 1)):
            layers += [DoublingConvolution(f, c_out, padding=padding), nn.ELU()]
        return glorot(nn.Sequential(*layers))


def _checked(event_shape: EventShape) -> int:
    """Return the number of channels. Raises UserError unless the images are 28x28."""
    channels, height, width = event_shape
    if (height, width) != (SIDE, SIDE):
        raise UserError(
            f"net.kind=casale wants images of {SIDE}x{SIDE} pixels, got {height}x{width}; use net.kind=conv"
        )
    return channels
