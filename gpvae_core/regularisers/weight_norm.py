"""Weight normalisation: a bound on the norms of the encoder's weights, and so on its slope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gpvae_core.encoders.base import Encoder
from gpvae_core.part import MOST
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig

ORIGINAL = "parametrizations.weight.original"
"""Name under which torch stores v, the unrestricted weight."""


class BoundedNorm(nn.Module):
    """Parametrisation v -> w of each unit's incoming weights: w = v if |v| <= `norm`, else norm v / |v|."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, v: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(v.flatten(1), dim=1).view(-1, *[1] * (v.ndim - 1))
        return v * (self.norm / size.clamp_min(self.norm))

    def right_inverse(self, w: Tensor) -> Tensor:
        """Return the weight itself as v, which is exact for weights within the norm."""
        return w


def layers_of(encoder: Encoder) -> Iterator[nn.Linear | nn.Conv2d]:
    """Return the fully connected and convolutional layers."""
    return (module for module in encoder.modules() if isinstance(module, nn.Linear | nn.Conv2d))


def _take_plain_weight(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename the weight of a layer that was trained without normalisation, so that it is loaded as v."""
    if f"{prefix}weight" in state:
        state[f"{prefix}{ORIGINAL}"] = state.pop(f"{prefix}weight")


@REGULARISERS.register("weight_norm")
class WeightNormConfig(RegulariserConfig):
    """Weight normalisation: the norm of every encoder unit's incoming weights is bounded (Shu et al. 2018).

    w = v min(1, H / |v|) for each row of each fully connected and convolutional layer, which bounds the encoder's
    slope; biases and random weights (GP) are not bounded. The weight normalisation of Salimans & Kingma 2016 (Ganguly
    et al. 2023, sec. 5.2.3) always scales by H / |v|; here shorter weights do not change, so that a layer may start at
    zero. A run with it can start from a run without it, but not the reverse, as its weights are not those of a plain
    encoder.
    """

    kind: ClassVar[str] = "weight_norm"
    method: ClassVar[str] = "wn-vae"
    norm: float = Field(default=1.0, gt=0, le=MOST, description="largest norm of an encoder unit's incoming weights, H")

    def prepare(self, encoder: Encoder) -> None:
        for layer in list(layers_of(encoder)):
            parametrize.register_parametrization(layer, "weight", BoundedNorm(self.norm))
            layer.register_load_state_dict_pre_hook(_take_plain_weight)
