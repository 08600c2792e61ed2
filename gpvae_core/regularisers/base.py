"""The interface of a regulariser of amortized inference, used in training so that the encoder generalises better."""

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
    """One regulariser; as it has settings but no parameters, the config is the regulariser itself.

    By default its three methods do nothing: override those that the regulariser needs.
    """

    def prepare(self, encoder: Encoder) -> None:
        """Reparametrise the encoder's weights; called once, before training and before weights are loaded."""

    def encoder_input(
        self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B C H W"]:
        """Return the encoder's input in training for the images `x`."""
        return x

    def penalty(
        self, vae: VAE, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """Return the penalty of each image in nats, which is subtracted from the surrogate but not from the bound.

        Images other than x are encoded within `frozen_statistics` (encoders/batch_norm.py).
        """
        return x.new_zeros(len(x))


REGULARISERS: Registry[type[RegulariserConfig]] = Registry("regulariser", "gpvae_core.regularisers")
