"""Kernels of the distance |x - x'| between inputs: the base of RBF and Matern, on GPyTorch's implementations."""

from __future__ import annotations

from abc import ABC, abstractmethod

import gpytorch
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.covariances.base import CovarianceFunction, VectorConfig
from gpvae_core.covariances.parameters import Positive
from gpvae_core.part import MOST


class Stationary(CovarianceFunction):
    """sigma^2 kappa(|x - x'| / l) with a kernel kappa of GPyTorch, which has the length scale l."""

    def __init__(self, kappa: gpytorch.kernels.Kernel, features: slice, config: StationaryConfig) -> None:
        super().__init__()
        self._features = features
        self.kappa = kappa.double()
        self.kappa.lengthscale = torch.tensor(config.length_scale, dtype=torch.float64)
        self.kappa.requires_grad_(config.learn)
        self.variance = Positive(config.variance, config.learn)

    @property
    def length_scale(self) -> Float[Tensor, ""]:
        """Return l."""
        return self.kappa.lengthscale.squeeze()

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        return self.variance() * self.kappa.forward(x[..., self._features], y[..., self._features])

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return self.variance() * x.new_ones(x.shape[:-1])


class StationaryConfig(VectorConfig, ABC):
    """Settings of a stationary kernel."""

    length_scale: float = Field(default=1.0, gt=0, le=MOST, description="length scale l at the start, in x's units")

    @abstractmethod
    def kappa(self) -> gpytorch.kernels.Kernel:
        """Return GPyTorch's kernel."""

    def build(self, features: slice, period: float | None) -> Stationary:
        return Stationary(self.kappa(), features, self)
