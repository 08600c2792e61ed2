"""The plain amortized encoder q(z|x) = N(b(x), Diag(c(x))^2) (Kim & Pavlovic 2021, eq. 3 with f, h deterministic)."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


class GaussianEncoder(BaseFunctionEncoder):
    """Plain encoder x -> N(b(x), Diag(c(x))^2)."""

    @property
    def origins(self) -> str:
        return "a 'gaussian' encoder can start only from a run trained with --method vae"

    def forward(self, x: Float[Tensor, "B C H W"]) -> DiagonalGaussian:
        return DiagonalGaussian(*self.base(x))

    def plain_base(self) -> BaseFunctions:
        return self.base


@ENCODERS.register("gaussian")
class GaussianEncoderConfig(EncoderConfig):
    """Plain amortized Gaussian with diagonal covariance: q(z|x) = N(b(x), c(x)^2)."""

    kind: ClassVar[str] = "gaussian"
    method: ClassVar[str] = "vae"
    family: ClassVar[str] = "diagonal Gaussian"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GaussianEncoder:
        return GaussianEncoder(net, event_shape, latent_dim)
