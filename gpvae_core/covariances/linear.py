"""The linear kernel, and the cosine of the angle between vectors."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES, CovarianceFunction, VectorConfig
from gpvae_core.covariances.factor import Factor, of_features
from gpvae_core.covariances.parameters import Positive


class Linear(CovarianceFunction):
    """sigma^2 <phi(x), phi(x')>, where phi(x) is x itself or x / |x|."""

    def __init__(self, features: slice, normalise: bool, config: VectorConfig) -> None:
        super().__init__()
        self._features, self._normalise = features, normalise
        self.variance = Positive(config.variance, config.learns("variance"))

    def phi(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A E"]:
        """Return the features whose inner product the kernel is, without sigma."""
        x = x[..., self._features]
        return torch.nn.functional.normalize(x, dim=-1) if self._normalise else x

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        return self.variance() * (self.phi(x) @ self.phi(y).mT)

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * self.phi(x).square().sum(-1)

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_features(lambda y: self.variance().sqrt() * self.phi(y), x)


@COVARIANCES.register("linear")
class LinearConfig(VectorConfig):
    """Linear: sigma^2 <x, x'>, of the object vectors of Casale et al. 2018."""

    kind: ClassVar[str] = "linear"

    def build(self, features: slice, period: float | None) -> Linear:
        return Linear(features, False, self)


@COVARIANCES.register("normalised_linear")
class NormalisedLinearConfig(VectorConfig):
    """Normalised linear: sigma^2 <x, x'> / (|x| |x'|) (Jazbec et al. 2021, A.3)."""

    kind: ClassVar[str] = "normalised_linear"

    def build(self, features: slice, period: float | None) -> Linear:
        return Linear(features, True, self)
