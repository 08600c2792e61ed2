"""The plain encoder with batch-normalised means, whose KL cannot vanish (Zhu et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

EPSILON = 1e-8
"""Added to the batch variance of b: far below it, or small b would escape the normalisation."""


class FixedScaleNorm(nn.Module):
    """The map b -> (b - mean) / std over the batch, times a fixed `scale`, plus a learned shift.

    In evaluation, mean and std are the running ones.

    A batch of one image, which has no variance, is normalised by the running moments in training too. Where `gathers`
    is false, a batch leaves no trace in the running moments.
    """

    def __init__(self, features: int, scale: float, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum, self.gathers = momentum, True
        self.shift = nn.Parameter(torch.zeros(features))
        self.scale = nn.Buffer(torch.full((features,), scale))
        self.mean = nn.Buffer(torch.zeros(features))
        self.variance = nn.Buffer(torch.ones(features))

    def forward(self, b: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        of_batch = self.training and len(b) > 1
        mean, variance = (None, None) if of_batch and not self.gathers else (self.mean, self.variance)
        return nn.functional.batch_norm(b, mean, variance, self.scale, self.shift, of_batch, self.momentum, EPSILON)


@contextmanager
def frozen_statistics(encoder: nn.Module) -> Iterator[None]:
    """Make a context within which answers leave the encoder's running moments as they are, in training too.

    For images that evaluation does not see (the model's own, changed copies): running moments of a mixture with them
    would not be those of the images. A batch is still normalised by its own moments.
    """
    norms = [module for module in encoder.modules() if isinstance(module, FixedScaleNorm)]
    before = [norm.gathers for norm in norms]
    try:
        for norm in norms:
            norm.gathers = False
        yield
    finally:
        for norm, gathers in zip(norms, before, strict=True):
            norm.gathers = gathers


class BatchNormEncoder(BaseFunctionEncoder):
    """The encoder x -> N(norm(b(x)), Diag(c(x))^2). Of a trained VAE it takes b up to shift and scale, and c."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, scale: float) -> None:
        super().__init__(net, event_shape, latent_dim)
        self.norm = FixedScaleNorm(latent_dim, scale)

    @property
    def origins(self) -> str:
        return "a 'batch_norm' encoder can start from a run trained with --method bn-vae or --method vae"

    def forward(self, x: Float[Tensor, "B C H W"]) -> DiagonalGaussian:
        b, c = self.base(x)
        return DiagonalGaussian(self.norm(b), c)


@ENCODERS.register("batch_norm")
class BatchNormEncoderConfig(EncoderConfig):
    """Gaussian encoder with batch-normalised means, against posterior collapse (Zhu et al. 2020).

    Over a batch the means have the variance gamma^2 in every dimension, so that the mean KL is at least
    d gamma^2 / 2 nats (review, sec. 5.2.4).
    """

    kind: ClassVar[str] = "batch_norm"
    method: ClassVar[str] = "bn-vae"
    gamma: float = Field(default=0.5, gt=0, description="standard deviation of the posterior means over a batch")

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> BatchNormEncoder:
        return BatchNormEncoder(net, event_shape, latent_dim, self.gamma)
