"""Kernels of the distance |x - x'| between inputs: the base of RBF and Matern.

GPyTorch's modules have infinite bounds among their buffers, which a run folder refuses as weights that are not numbers;
it is the oracle of the tests instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.covariances.base import CovarianceFunction, VectorConfig
from gpvae_core.covariances.factor import Factor, of_distinct_values
from gpvae_core.covariances.parameters import Positive
from gpvae_core.part import MOST


class Stationary(CovarianceFunction):
    """sigma^2 kappa(|x - x'| / l) with length scale l."""

    def __init__(self, features: slice, config: StationaryConfig) -> None:
        super().__init__()
        self._features, self.config = features, config
        self.length_scale = Positive(config.length_scale, config.learns("length_scale"))
        self.variance = Positive(config.variance, config.learns("variance"))

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        # NOTE: distances by a matrix product would be off by 1e-8 between near inputs; their gradient at 0 is 0 here.
        distance = torch.cdist(
            x[..., self._features], y[..., self._features], compute_mode="donot_use_mm_for_euclid_dist"
        )
        return self.variance() * self.config.kappa(distance / self.length_scale())

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * x.new_ones(x.shape[:-1])

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_distinct_values(self.matrix, x, self._features, jitter)


class StationaryConfig(VectorConfig, ABC):
    """Settings of a stationary kernel."""

    length_scale: float = Field(default=1.0, gt=0, le=MOST, description="length scale l at the start, in x's units")

    @abstractmethod
    def kappa(self, r: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the kernel of unit variance at a distance of r length scales."""

    def build(self, features: slice, period: float | None) -> Stationary:
        return Stationary(features, self)
