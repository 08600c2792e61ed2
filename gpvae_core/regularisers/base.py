"""The contract of a regulariser of amortized inference, which training adds so that the encoder generalises better."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.base import Encoder
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vae import VAE


class RegulariserConfig(PartConfig):
    """One regulariser. It has settings but no parameters, so the config is the regulariser.

    Each of its three parts does nothing here: override the ones that the regulariser is made of.
    """

    def prepare(self, encoder: Encoder) -> None:
        """Change how the encoder's weights are parametrised, once, before training and before weights are loaded."""

    def encoder_input(
        self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B C H W"]:
        """Return what the encoder sees of `x` in training."""
        return x

    def penalty(
        self, vae: VAE, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """Return what is taken off the surrogate for each image, in nats; the reported bound stays as it is.

        It asks the encoder about other images than x within `frozen_statistics` (encoders/batch_norm.py).
        """
        return x.new_zeros(len(x))


REGULARISERS: Registry[type[RegulariserConfig]] = Registry("regulariser", "gpvae_core.regularisers")
