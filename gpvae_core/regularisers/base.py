"""The contract of a regulariser of amortized inference: what training adds so that the encoder generalises better."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Encoder, Posterior
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vae import VAE


class RegulariserConfig(PartConfig):
    """One regulariser. It has settings but no parameters, so the config is the regulariser."""

    @abstractmethod
    def prepare(self, encoder: Encoder) -> None:
        """Change how the encoder's weights are parametrised, once, before training and before weights are loaded."""

    @abstractmethod
    def encoder_input(
        self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B C H W"]:
        """What the encoder sees of `x` in training."""

    @abstractmethod
    def penalty(
        self, vae: VAE, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """What is taken off the surrogate for each image, in nats; the reported bound stays as it is.

        It asks the encoder about other images than x within `frozen_statistics` (encoders/batch_norm.py).
        """


REGULARISERS: Registry[type[RegulariserConfig]] = Registry("regulariser", "gpvae_core.regularisers")
