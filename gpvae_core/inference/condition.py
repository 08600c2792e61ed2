"""Networks that take the auxiliary columns of an image beside it: those of a conditional VAE (Sohn et al. 2015).

An encoder sees a column's numbers as constant channels of the image and again beside its last features, a decoder
beside the latents, as in the public code of Jazbec et al. 2021, whose decoder has them once more as channels of its
first, linear feature map. Images and latents alone are taken as those of the mean of all columns, where every number
is 0; so all that works on any VAE can show something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gpvae_core.data.auxiliary import Column
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import Encoder
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

LEAST_DEVIATION = 1e-12
"""Standard deviation below which a column is constant."""


class Condition(nn.Module):
    """The numbers c of an instance's columns, of mean 0 over the training images or over a period.

    A number t with a period T is sin(2 pi t / T) and cos(2 pi t / T), any other number and a vector are standardised,
    and a category is 1 at its code and 0 elsewhere, less the mean.
    """

    def __init__(self, columns: Sequence[Column], identity: str) -> None:
        super().__init__()
        self.columns, self.identity = tuple(columns), identity
        """The columns, and the name of the category that tells which images show the same; '' if there is none."""
        self.width = sum(_width(column) for column in columns)
        self.mean = nn.Buffer(torch.zeros(self.width, dtype=torch.float64))
        self.scale = nn.Buffer(torch.ones(self.width, dtype=torch.float64))

    @torch.no_grad()
    def start(self, values: Mapping[str, Tensor]) -> None:
        """Set mean and scale to those of the training images' columns; of a periodic column they stay 0 and 1."""
        numbers = self._numbers(values)
        std = numbers.std(0, correction=0)
        self.mean.copy_(torch.where(self._each(lambda column: column.period is not None), 0.0, numbers.mean(0)))
        unit = self._each(lambda column: column.period is not None or column.role == "category")
        self.scale.copy_(torch.where(unit | (std < LEAST_DEVIATION), 1.0, std))

    def _each(self, is_so: Callable[[Column], bool]) -> Bool[Tensor, " c"]:
        """Return of each number whether its column is so."""
        flags = [flag for column in self.columns for flag in [is_so(column)] * _width(column)]
        return torch.tensor(flags, device=self.mean.device)

    def forward(self, values: Mapping[str, Tensor]) -> Float[Tensor, "B c"]:
        """Return the numbers of B instances with these columns, in float32."""
        return ((self._numbers(values) - self.mean) / self.scale).to(torch.float32)

    def _numbers(self, values: Mapping[str, Tensor]) -> Float[Tensor, "B c"]:
        return torch.cat([_numbers(column, values[column.name]) for column in self.columns], 1)


def _width(column: Column) -> int:
    """Return how many numbers a column is."""
    return 2 if column.period is not None else {"category": len(column.names)}.get(column.role, column.size)


def _numbers(column: Column, values: Tensor) -> Float[Tensor, "B E"]:
    """Return the numbers of one column, in float64."""
    if column.period is not None:
        angle = 2 * math.pi / column.period * values
        return torch.stack([angle.sin(), angle.cos()], 1)
    if column.role == "category":
        return nn.functional.one_hot(values, len(column.names)).double()
    return values.double().reshape(len(values), column.size)


class ConditionedEncoder(Encoder):
    """Encoder (y, c) -> N(b, Diag(c)^2), where c are further channels of the image, each constant."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, width: int) -> None:
        super().__init__()
        channels, height, rows = event_shape
        self._channels, self._width = channels, width
        self.base = BaseFunctions(net, (channels + width, height, rows), latent_dim, beside=width)

    def forward(self, x: Float[Tensor, "B C H W"]) -> DiagonalGaussian:
        """Return q(z|x) of images with the channels of `with_channels`; those of images alone are taken as 0."""
        if x.shape[1] == self._channels:
            x = with_channels(x, x.new_zeros(len(x), self._width))
        condition = x[:, self._channels :, 0, 0]
        return DiagonalGaussian(*self.base.from_features(torch.cat([self.base.trunk(x), condition], 1)))

    def size(self) -> int:
        return self._width

    @property
    def origins(self) -> str:
        return "a conditional encoder can start only from a run of cvae with the same columns"


def with_channels(x: Float[Tensor, "B C H W"], condition: Float[Tensor, "B c"]) -> Float[Tensor, "B Cc H W"]:
    """Return the images with a constant channel for each number of the condition."""
    return torch.cat([x, condition[:, :, None, None].expand(*condition.shape, *x.shape[2:])], 1)


class ConditionedDecoder(nn.Module):
    """Decoder (z, c) -> image, of latents followed by the numbers of their condition."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, width: int) -> None:
        super().__init__()
        self._latent_dim, self._width = latent_dim, width
        self.net = net.decoder(latent_dim + width, event_shape)

    def forward(self, z: Float[Tensor, "B Dc"]) -> Float[Tensor, "B C H W"]:
        """Return the decoder's output; the condition of latents alone is taken as 0."""
        if z.shape[1] == self._latent_dim:
            z = nn.functional.pad(z, (0, self._width))
        return self.net(z)
