"""The periodic kernel of angles and other columns with a period."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES, CovarianceConfig, CovarianceFunction
from gpvae_core.covariances.factor import Factor, of_distinct_values
from gpvae_core.covariances.parameters import Positive
from gpvae_core.errors import UserError
from gpvae_core.part import MOST


class Periodic(CovarianceFunction):
    """sigma^2 exp(-2 sum_i sin^2(pi (x_i - x'_i) / T) / l^2) with period T."""

    def __init__(self, features: slice, period: float, config: PeriodicConfig) -> None:
        super().__init__()
        self._features, self._period = features, period
        self.length_scale = Positive(config.length_scale, config.learns("length_scale"))
        self.variance = Positive(config.variance, config.learns("variance"))

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        difference = x[..., :, None, self._features] - y[..., None, :, self._features]
        square = torch.sin(math.pi / self._period * difference).square().sum(-1)
        return self.variance() * torch.exp(-2 * square / self.length_scale().square())

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * x.new_ones(x.shape[:-1])

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_distinct_values(self.matrix, x, self._features, jitter)


@COVARIANCES.register("periodic")
class PeriodicConfig(CovarianceConfig):
    """Periodic: sigma^2 exp(-2 sin^2(pi (x - x') / T) / l^2), T the period of the column (Jazbec et al. 2021, B.3).

    The paper prints sin^2(x - x'), of period pi, under which 0 and 180 degrees are the same view; its code has half of
    the distance, of period 2 pi, as here. GPyTorch's kernel of this name divides by l instead of l^2.
    """

    kind: ClassVar[str] = "periodic"
    roles: ClassVar[tuple[str, ...]] = ("number", "vector")
    length_scale: float = Field(default=1.0, gt=0, le=MOST, description="length scale l at the start, without a unit")
    variance: float = Field(default=1.0, gt=0, le=MOST, description="factor sigma^2 of the kernel, at the start")
    period: float | None = Field(
        default=None, gt=0, le=MOST, description="period T in the column's units (default: the column's own)"
    )

    def build(self, features: slice, period: float | None) -> Periodic:
        period = self.period or period
        if period is None:
            raise UserError("kernel 'periodic' wants a column with a period, or a period of its own (period=...)")
        return Periodic(features, period, self)
