"""The convolutional stack of Kim & Pavlovic 2021, Tables 6-8: one for 28x28, 32x32 and 64x64 images."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.nets.base import HIDDEN, NETS, NetConfig
from gpvae_core.part import MOST_UNITS
from gpvae_core.types import EventShape

KERNEL, STRIDE, PADDING = 4, 2, 1
LAYERS = "convolutional layers, L (4 for 64x64)"


def sides(side: int, layers: int) -> list[int]:
    """Return the sides of the feature maps from the image on; each convolution halves them, rounding down."""
    out = [side]
    for _ in range(layers):
        out.append((out[-1] + 2 * PADDING - KERNEL) // STRIDE + 1)
    return out


def _channels_last(*layers: nn.Module) -> nn.Sequential:
    """Return the layers in sequence; the memory format of their weights decides that of the feature maps.

    On a CPU a training step of a 28x28 trunk takes a quarter less time with channels last, that of a decoder a sixth.
    """
    # torch's type stubs lack the memory format.
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


@NETS.register("conv")
class ConvConfig(NetConfig):
    """Convolutions 4x4, stride 2, with one hidden layer: L=3, h=256 for 28x28; h=512 for 32x32; L=4 for 64x64."""

    kind: ClassVar[str] = "conv"
    hidden: int = Field(default=256, gt=0, le=MOST_UNITS, description=HIDDEN)
    layers: int = Field(default=3, ge=2, le=5, description=LAYERS)

    @property
    def feature_dim(self) -> int:
        return self.hidden

    def _sides(self, event_shape: EventShape) -> list[int]:
        _, height, width = event_shape
        s = sides(height, self.layers)
        if height != width or s[-1] < 1:
            raise UserError(
                f"the convolutional stack with {self.layers} layers wants square images of at least "
                f"{2**self.layers} pixels a side, got {height}x{width}; use --set net.kind=fc"
            )
        return s

    def trunk(self, event_shape: EventShape) -> nn.Module:
        """Return L convolutions with 32, 32, 64 channels for L=3; 32, 32, 64, 64 for L=4 (Tables 6-8)."""
        s = self._sides(event_shape)
        channels = [event_shape[0]] + [32 if i < 2 else 64 for i in range(self.layers)]
        blocks: list[nn.Module] = []
        for c_in, c_out in pairwise(channels):
            blocks += [nn.Conv2d(c_in, c_out, KERNEL, STRIDE, PADDING), nn.LeakyReLU(0.01)]
        flat = channels[-1] * s[-1] ** 2
        return _channels_last(*blocks, nn.Flatten(), nn.Linear(flat, self.hidden), nn.LeakyReLU(0.01))

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        """Return FC h, FC s*s*64, L transposed convolutions: 32, 32, C for L=3; 64, 32, 32, C for L=4 (Tables 6-8)."""
        s = self._sides(event_shape)[::-1]
        widths = [64] * (self.layers - 2) + [32, 32, event_shape[0]]
        blocks: list[nn.Module] = [
            nn.Linear(latent_dim, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, widths[0] * s[0] ** 2),
            nn.ReLU(),
            nn.Unflatten(1, (widths[0], s[0], s[0])),
        ]
        for (c_in, c_out), (side, target) in zip(pairwise(widths), pairwise(s), strict=True):
            # Convolutions round sides down, which the output padding of the transposed ones makes up for.
            extra = target - ((side - 1) * STRIDE - 2 * PADDING + KERNEL)
            blocks += [nn.ConvTranspose2d(c_in, c_out, KERNEL, STRIDE, PADDING, output_padding=extra), nn.ReLU()]
        return _channels_last(*blocks[:-1])
