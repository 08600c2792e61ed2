"""The Gaussian encoder with full covariance, q(z|x) = N(b(x), L(x) L(x)')."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

START = 0.01
"""Factor of the initial weights of the layer for N(x), with which the posterior starts nearly diagonal."""


class FullCovarianceEncoder(BaseFunctionEncoder):
    """Encoder x -> N(b, L L') with L = Diag(c) (I + N), N strictly lower triangular.

    Every row of L is scaled by its c, so that N has no unit and stays of order one where q is narrow.
    """

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        if latent_dim < 2:
            raise UserError(
                f"a 'full' encoder wants at least 2 latent dimensions, got {latent_dim}: use --method vae, "
                "which has no less freedom there"
            )
        super().__init__(net, event_shape, latent_dim)
        self.below = nn.Linear(net.feature_dim, latent_dim * (latent_dim - 1) // 2)
        with torch.no_grad():
            self.below.weight.mul_(START)
            self.below.bias.mul_(START)
        self.rows, self.columns = (
            nn.Buffer(i, persistent=False) for i in torch.tril_indices(latent_dim, latent_dim, -1)
        )

    @property
    def origins(self) -> str:
        return "a 'full' encoder can start from a run trained with --method vae or --method full"

    def forward(self, x: Float[Tensor, "B C H W"]) -> FullGaussian:
        features = self.base.trunk(x)
        b, c = self.base.from_features(features)
        unit_factor = torch.diag_embed(torch.ones_like(c))
        unit_factor[:, self.rows, self.columns] = self.below(features).to(c.dtype)
        return FullGaussian(b, c.unsqueeze(-1) * unit_factor)  # L = Diag(c) (I + N)


@ENCODERS.register("full")
class FullCovarianceConfig(EncoderConfig):
    """Amortized Gaussian with full covariance: q(z|x) = N(b(x), L(x) L(x)')."""

    kind: ClassVar[str] = "full"
    method: ClassVar[str] = "full"
    family: ClassVar[str] = "full-covariance Gaussian"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> FullCovarianceEncoder:
        return FullCovarianceEncoder(net, event_shape, latent_dim)
