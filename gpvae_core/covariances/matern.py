"""The Matern kernels of half-integer smoothness."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES
from gpvae_core.covariances.stationary import StationaryConfig

SMOOTHNESS = (0.5, 1.5, 2.5)
"""Values of nu for which the kernel is a polynomial times an exponential."""


@COVARIANCES.register("matern")
class MaternConfig(StationaryConfig):
    """Matern of smoothness nu = 0.5, 1.5 or 2.5 (Rasmussen & Williams 2006, eq. 4.14-4.17)."""

    kind: ClassVar[str] = "matern"
    nu: float = Field(default=2.5, ge=min(SMOOTHNESS), le=max(SMOOTHNESS), description="smoothness nu: 0.5, 1.5 or 2.5")

    @field_validator("nu")
    @classmethod
    def _half_integer(cls, nu: float) -> float:
        if nu not in SMOOTHNESS:
            raise ValueError(f"wanted {', '.join(map(str, SMOOTHNESS))}")
        return nu

    def kappa(self, r: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        x = math.sqrt(2 * self.nu) * r
        # Horner's scheme: 1, 1 + x, 1 + x + x^2 / 3
        inner = {0.5: 0.0, 1.5: 1.0, 2.5: 1.0 + x / 3}[self.nu]
        return (1 + x * inner) * torch.exp(-x)
