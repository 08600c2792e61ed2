"""The convolutional stack for SPRITES of Jazbec et al. 2021, Table A.3."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.nets.base import NETS, NetConfig
from gpvae_core.nets.doubling import DoublingConvolution, glorot
from gpvae_core.part import MOST_UNITS
from gpvae_core.types import EventShape

KERNEL, SIDE, SMALL, PAIRS = 3, 64, 8, 3
"""Side of a filter, of an image and of the smallest feature map; pairs of convolutions between them."""


@NETS.register("sprites")
class SpritesConfig(NetConfig):
    """Three pairs of convolutions 3x3 of 16 filters with ELU for 64x64 images (Jazbec et al. 2021, Table A.3).

    The second convolution of a pair has stride 2 in the encoder, whose features are the last ones as they are; in the
    decoder, which begins with a linear layer without activation, the first one of a pair is of the doubled map. The
    public code has one more convolution, to the image's channels, with an ELU too, so that pixels are greater than -1.
    """

    kind: ClassVar[str] = "sprites"
    filters: int = Field(default=16, gt=0, le=MOST_UNITS, description="filters of each convolution")

    @property
    def feature_dim(self) -> int:
        return SMALL**2 * self.filters

    def trunk(self, event_shape: EventShape) -> nn.Module:
        channels, f = _checked(event_shape), self.filters
        layers: list[nn.Module] = []
        for pair in range(PAIRS):
            layers += [nn.Conv2d(f if pair else channels, f, KERNEL, padding=1), nn.ELU()]
            layers += [nn.Conv2d(f, f, KERNEL, stride=2, padding=1), nn.ELU()]
        return glorot(nn.Sequential(*layers, nn.Flatten()))

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        channels, f = _checked(event_shape), self.filters
        layers: list[nn.Module] = [nn.Linear(latent_dim, SMALL**2 * f), nn.Unflatten(1, (f, SMALL, SMALL))]
        for _ in range(PAIRS):
            layers += [DoublingConvolution(f, f, padding=1), nn.ELU()]
            layers += [nn.Conv2d(f, f, KERNEL, padding=1), nn.ELU()]
        return glorot(nn.Sequential(*layers, nn.Conv2d(f, channels, KERNEL, padding=1), nn.ELU()))


def _checked(event_shape: EventShape) -> int:
    """Return the number of channels. Raises UserError unless the images are 64x64."""
    channels, height, width = event_shape
    if (height, width) != (SIDE, SIDE):
        raise UserError(
            f"net.kind=sprites wants images of {SIDE}x{SIDE} pixels, got {height}x{width}; use net.kind=conv"
        )
    return channels
