"""No regulariser."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gpvae_core.encoders.base import Encoder, Posterior
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.vae import VAE


@REGULARISERS.register("none")
class NoRegulariserConfig(RegulariserConfig):
    """No regulariser: the encoder is trained on the images as they are."""

    kind: ClassVar[str] = "none"
    method: ClassVar[str] = ""

    def prepare(self, encoder: Encoder) -> None:
        """Nothing changes."""

    def encoder_input(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x

    def penalty(self, vae: VAE, x: Tensor, q: Posterior, generator: torch.Generator | None = None) -> Tensor:
        return x.new_zeros(len(x))
