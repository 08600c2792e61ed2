"""White noise: a variance that no two instances share."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES, CovarianceConfig, CovarianceFunction
from gpvae_core.covariances.factor import Factor
from gpvae_core.covariances.parameters import Positive
from gpvae_core.errors import UserError
from gpvae_core.part import MOST


class White(CovarianceFunction):
    """sigma^2 delta_ij over instances i, j."""

    def __init__(self, config: WhiteConfig) -> None:
        super().__init__()
        self.variance = Positive(config.variance, config.learns("variance"))

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        if x is y:
            return torch.diag_embed(self.diagonal(x))
        return x.new_zeros(*x.shape[:-1], y.shape[-2])

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * x.new_ones(x.shape[:-1])

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        """Raise UserError, as the matrix has full rank."""
        raise UserError("white noise has no low rank: leave white() out of the kernel, as alpha is the noise here")


@COVARIANCES.register("white")
class WhiteConfig(CovarianceConfig):
    """White noise: sigma^2 for an instance with itself, 0 with any other (Jazbec et al. 2021, A.3)."""

    kind: ClassVar[str] = "white"
    roles: ClassVar[tuple[str, ...]] = ()
    variance: float = Field(default=0.01, gt=0, le=MOST, description="variance sigma^2 of the noise, at the start")

    def build(self, features: slice, period: float | None) -> White:
        return White(self)
