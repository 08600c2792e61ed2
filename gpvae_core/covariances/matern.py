"""The Matern kernels of half-integer smoothness."""

from __future__ import annotations

from typing import ClassVar

import gpytorch
from pydantic import Field, field_validator

from gpvae_core.covariances.base import COVARIANCES
from gpvae_core.covariances.stationary import StationaryConfig

SMOOTHNESS = (0.5, 1.5, 2.5)
"""Values of nu for which the kernel is a polynomial times an exponential."""


@COVARIANCES.register("matern")
class MaternConfig(StationaryConfig):
    """Matern of smoothness nu = 0.5, 1.5 or 2.5 (Rasmussen & Williams 2006, eq. 4.14-4.17)."""

    kind: ClassVar[str] = "matern"
    nu: float = Field(default=2.5, description="smoothness nu: 0.5, 1.5 or 2.5")

    @field_validator("nu")
    @classmethod
    def _half_integer(cls, nu: float) -> float:
        if nu not in SMOOTHNESS:
            raise ValueError(f"wanted {', '.join(map(str, SMOOTHNESS))}")
        return nu

    def kappa(self) -> gpytorch.kernels.Kernel:
        return gpytorch.kernels.MaternKernel(nu=self.nu)
