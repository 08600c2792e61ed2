"""The fully connected networks of Pearce 2020 for the moving ball, as in Jazbec et al. 2021, Table A.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field
from torch import nn

from gpvae_core.nets.base import HIDDEN, NETS
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.part import MOST_LAYERS, MOST_UNITS
from gpvae_core.types import EventShape


@NETS.register("pearce")
class PearceConfig(FullyConnectedConfig):
    """A hidden layer of 500 units with tanh in encoder and decoder (Pearce 2020; Jazbec et al. 2021, Table A.1).

    As in the public code, weights are drawn from a normal distribution of standard deviation 1 / sqrt(inputs of the
    layer), without what is farther than two of them from 0, and biases are 0.
    """

    kind: ClassVar[str] = "pearce"
    encoder_activation: ClassVar[Callable[[], nn.Module]] = nn.Tanh
    decoder_activation: ClassVar[Callable[[], nn.Module]] = nn.Tanh
    hidden: int = Field(default=500, gt=0, le=MOST_UNITS, description=HIDDEN)
    depth: int = Field(default=1, gt=0, le=MOST_LAYERS, description="number of hidden layers")

    def trunk(self, event_shape: EventShape) -> nn.Module:
        return _truncated_normal(super().trunk(event_shape))

    def decoder(self, latent_dim: int, event_shape: EventShape) -> nn.Module:
        return _truncated_normal(super().decoder(latent_dim, event_shape))


def _truncated_normal(stack: nn.Module) -> nn.Module:
    """Return the stack with weights from truncated normal distributions and zero biases."""
    for layer in stack.modules():
        if isinstance(layer, nn.Linear):
            std = layer.in_features**-0.5
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(layer.bias)
    return stack
