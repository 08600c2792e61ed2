"""The squared-exponential kernel."""

from __future__ import annotations

from typing import ClassVar

import gpytorch

from gpvae_core.covariances.base import COVARIANCES
from gpvae_core.covariances.stationary import StationaryConfig


@COVARIANCES.register("rbf")
class RbfConfig(StationaryConfig):
    """RBF (squared exponential): sigma^2 exp(-|x - x'|^2 / (2 l^2))."""

    kind: ClassVar[str] = "rbf"

    def kappa(self) -> gpytorch.kernels.Kernel:
        return gpytorch.kernels.RBFKernel()
