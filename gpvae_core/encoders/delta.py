"""The plain encoder with a lower bound on its KL to the prior (Razavi et al. 2019)."""

from __future__ import annotations

import math
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

LARGEST_DELTA = 10.0
"""Largest delta. There s is 2.8e-5, so that a mean of order one plus s times noise is still resolved in float32."""


def largest_std(delta: float) -> float:
    """Return the s < 1 with KL(N(0, s^2) || N(0, 1)) = (s^2 - 1) / 2 - log s = `delta` nats, by bisection."""
    # At s = exp(-delta - 1/2) the KL is delta + s^2 / 2, above delta; at 1 it is zero.
    low, high = math.exp(-delta - 0.5), 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = 0.5 * (middle**2 - 1.0) - math.log(middle) > delta
        low, high = (middle, high) if above else (low, middle)
    return low


class DeltaEncoder(BaseFunctionEncoder):
    """Encoder x -> N(b(x), Diag(s)^2) with s = c(x) / (1 + c(x) / s_max), which is below s_max and below c(x)."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, delta: float) -> None:
        super().__init__(net, event_shape, latent_dim)
        self.s_max = largest_std(delta)

    @property
    def origins(self) -> str:
        return "a 'delta' encoder can start from a run trained with --method delta-vae or --method vae"

    def forward(self, x: Float[Tensor, "B C H W"]) -> DiagonalGaussian:
        b, c = self.base(x)
        return DiagonalGaussian(b, c / (1.0 + c / self.s_max))


@ENCODERS.register("delta")
class DeltaEncoderConfig(EncoderConfig):
    """Gaussian encoder whose KL to the prior is at least delta in each dimension (Razavi et al. 2019).

    For the prior N(0, I) the standard deviations are kept below the s with KL(N(0, s^2) || N(0, 1)) = delta (Ganguly et
    al. 2023, sec. 5.2.4). The paper's other variant, a prior that is autoregressive in time, does not apply to images.
    """

    kind: ClassVar[str] = "delta"
    method: ClassVar[str] = "delta-vae"
    family: ClassVar[str] = "diagonal Gaussian of a delta-VAE"
    delta: float = Field(
        default=0.1, gt=0, le=LARGEST_DELTA, description="least KL to the prior, in nats per latent dimension"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> DeltaEncoder:
        return DeltaEncoder(net, event_shape, latent_dim, self.delta)
