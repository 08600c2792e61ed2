"""The decoder as an affine map around a latent: g(z') = g + W (z' - z), exact where its ReLUs do not switch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.errors import UserError

Rule = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A rule (layer, its input, the input's derivatives along each latent axis) -> the output's derivatives."""


def _linear(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return tangents @ layer.weight.T


def _relu(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    return tangents * (value > 0)


def _reshape(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    return tangents


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.ReLU: _relu,
    nn.Flatten: _reshape,
    nn.Unflatten: _reshape,
}


def layers_of(decoder: nn.Module) -> list[nn.Module]:
    """Return the layers of a fully connected ReLU network.

    Raises:
        UserError: a decoder that is none, such as a convolutional one.
    """
    layers = list(decoder.children()) if isinstance(decoder, nn.Sequential) else [decoder]
    wrong = next((type(layer).__name__ for layer in layers if type(layer) not in RULES), None)
    if wrong is not None:
        raise UserError(
            f"the Laplace refiner wants a fully connected ReLU decoder, got a {wrong} layer: "
            "train with --set decoder.kind=fc_equal (or fc), and with a plain prior (--set prior.kind=normal)"
        )
    return layers


def linearised(decoder: nn.Module, z: Float[Tensor, "B D"]) -> tuple[Tensor, Float[Tensor, "D B P"]]:
    """Return g(z) as the decoder gives it, and W' with W = dg/dz: row j of W' is the derivative along z_j, P pixels.

    W is propagated forwards through the layers with z, all rows in one product for each layer. Its derivative with
    respect to z is zero: the masks of the ReLUs are constant but for jumps.
    """
    value = z
    tangents = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).unsqueeze(1).expand(-1, len(z), -1)
    for layer in layers_of(decoder):
        tangents = RULES[type(layer)](layer, value, tangents)
        value = layer(value)
    return value, tangents
