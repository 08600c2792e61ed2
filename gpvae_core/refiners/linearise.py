"""Linearisation of a ReLU decoder at a latent z: g(z') = g + W (z' - z), exact where no ReLU changes its state.

W is computed by forward-mode differentiation: each layer has a rule that maps the tangents of its input, the
derivatives of the input along the D latent axes, to those of its output.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.errors import UserError
from gpvae_core.progress import checkpoint

Rule = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Rule (layer, its input (B, P), the input's tangents (D, B, P)) -> the output's tangents."""


def _linear(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    # y = A v + a, so dy = A dv; all D tangents of all images in one product
    assert isinstance(layer, nn.Linear)
    return tangents @ layer.weight.T


def _relu(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    # dy = 1[v > 0] dv; autograd sees the mask as a constant, as its derivative is zero almost everywhere
    return tangents * (value > 0)


def _reshape(layer: nn.Module, value: Tensor, tangents: Tensor) -> Tensor:
    # NOTE: tangents stay flat, (D, B, P), through Flatten and Unflatten: the caller flattens images too.
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
        UserError: the decoder has a layer without a rule, such as a convolution.
    """
    layers = list(decoder.children()) if isinstance(decoder, nn.Sequential) else [decoder]
    unsupported = next((type(layer).__name__ for layer in layers if type(layer) not in RULES), None)
    if unsupported is not None:
        raise UserError(
            f"the Laplace refiner wants a fully connected ReLU decoder, got a {unsupported} layer: "
            "train with --set decoder.kind=fc_equal (or fc), and with a plain prior (--set prior.kind=normal)"
        )
    return layers


def linearised(decoder: nn.Module, z: Float[Tensor, "B D"]) -> tuple[Tensor, Float[Tensor, "D B P"]]:
    """Return the decoder's output g(z), and W' with W = dg/dz: row j of W' holds the derivatives along z_j, P pixels.

    The derivative of W in z is zero almost everywhere, as the ReLU masks are piecewise constant.
    """
    checkpoint()
    value = z
    # The tangents of z itself are the unit vectors, dz / dz_j = e_j.
    tangents = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).unsqueeze(1).expand(-1, len(z), -1)
    for layer in layers_of(decoder):
        tangents = RULES[type(layer)](layer, value, tangents)
        value = layer(value)
    return value, tangents
