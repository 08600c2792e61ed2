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
from gpvae_core.part import MOST
from gpvae_core.types import EventShape

EPSILON = 1e-8
"""Added to the batch variance of b; small, as otherwise the normalisation would have no effect on small b."""


class FixedScaleNorm(nn.Module):
    """Batch normalisation b -> (b - mean) / std with a fixed `scale` and a learned shift.

    In evaluation, mean and std are the running ones; so they are in training for a batch of one image, which has no
    variance. Where `tracks_statistics` is false, a batch does not change the running moments.
    """

    def __init__(self, features: int, scale: float, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum, self.tracks_statistics = momentum, True
        # The scale is a buffer, not a parameter: if it were learned, training could shrink it and the KL vanish.
        self.shift = nn.Parameter(torch.zeros(features))
        self.scale = nn.Buffer(torch.full((features,), scale))
        self.mean = nn.Buffer(torch.zeros(features))
        self.variance = nn.Buffer(torch.ones(features))

    def forward(self, b: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        use_batch = self.training and len(b) > 1
        # NOTE: batch_norm updates the running moments that it is given in place, so that None leaves them alone.
        mean, variance = (None, None) if use_batch and not self.tracks_statistics else (self.mean, self.variance)
        return nn.functional.batch_norm(b, mean, variance, self.scale, self.shift, use_batch, self.momentum, EPSILON)


@contextmanager
def frozen_statistics(encoder: nn.Module) -> Iterator[None]:
    """Return a context in which the encoder's running moments do not change, even in training.

    It is for images that do not occur in evaluation (samples of the model, changed copies), which would bias the
    running moments. A batch is still normalised by its own moments.
    """
    norms = [module for module in encoder.modules() if isinstance(module, FixedScaleNorm)]
    before = [norm.tracks_statistics for norm in norms]
    try:
        for norm in norms:
            norm.tracks_statistics = False
        yield
    finally:
        for norm, tracked in zip(norms, before, strict=True):
            norm.tracks_statistics = tracked


class BatchNormEncoder(BaseFunctionEncoder):
    """Encoder x -> N(norm(b(x)), Diag(c(x))^2); from a trained VAE it loads c, and b up to shift and scale."""

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

    Over a batch the posterior means have variance gamma^2 in every dimension, so that the mean KL is at least
    d gamma^2 / 2 nats (Ganguly et al. 2023, sec. 5.2.4).
    """

    kind: ClassVar[str] = "batch_norm"
    method: ClassVar[str] = "bn-vae"
    family: ClassVar[str] = "batch-normalised diagonal Gaussian"
    gamma: float = Field(
        default=0.5, gt=0, le=MOST, description="standard deviation of the posterior means over a batch"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> BatchNormEncoder:
        return BatchNormEncoder(net, event_shape, latent_dim, self.gamma)
