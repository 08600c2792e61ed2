"""The kernel of equal categories."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES, CovarianceConfig, CovarianceFunction
from gpvae_core.covariances.factor import Factor, of_distinct_values
from gpvae_core.covariances.parameters import Positive
from gpvae_core.part import MOST


class Same(CovarianceFunction):
    """sigma^2 where two instances have the same category, else 0."""

    def __init__(self, features: slice, config: SameConfig) -> None:
        super().__init__()
        self._features = features
        self.variance = Positive(config.variance, config.learns("variance"))

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        equal = x[..., :, None, self._features] == y[..., None, :, self._features]
        return self.variance() * equal.all(-1).to(x.dtype)

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * x.new_ones(x.shape[:-1])

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_distinct_values(self.matrix, x, self._features, jitter)


@COVARIANCES.register("same")
class SameConfig(CovarianceConfig):
    """Same category: sigma^2 for two instances of one category, else 0, so that categories are independent."""

    kind: ClassVar[str] = "same"
    roles: ClassVar[tuple[str, ...]] = ("category",)
    variance: float = Field(default=1.0, gt=0, le=MOST, description="factor sigma^2 of the kernel, at the start")

    def build(self, features: slice, period: float | None) -> Same:
        return Same(features, self)
