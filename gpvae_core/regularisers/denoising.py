"""Denoising: the encoder is trained on corrupted images."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.part import MOST
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig


@REGULARISERS.register("denoising")
class DenoisingConfig(RegulariserConfig):
    """Denoising: in training the encoder sees the image with noise, the likelihood without (Im et al. 2017).

    The bound is E[log p(x, z) - log q(z|x~)] with x~ = (x + corruption * N(0, I)) * Bernoulli(1 - dropout). It is a
    lower bound of log p(x), as it is for any q. The noise makes the encoder smooth (Shu et al. 2018; Ganguly et al.
    2023, sec. 5.2.3).
    """

    kind: ClassVar[str] = "denoising"
    method: ClassVar[str] = "dvae"
    corruption: float = Field(
        default=0.1, ge=0, le=MOST, description="standard deviation of the noise in the encoder's input, in pixel units"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="fraction of pixels set to 0 in the encoder's input")

    def encoder_input(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        keep = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) >= self.dropout
        return (x + self.corruption * noise) * keep
