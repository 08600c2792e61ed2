"""The Gaussian kernel k(x_n | x_i) = N(x_n; x_i, bandwidth^2 I) (Yacoby et al. 2024, eq. 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.mapa.kernels.base import KERNELS, Kernel, Metric
from gpvae_core.mapa.kernels.checks import check_finite
from gpvae_core.mapa.ranges import check_bandwidth


@KERNELS.register("gaussian")
@dataclass(frozen=True)
class GaussianKernel(Kernel):
    """Gaussian kernel log k = -|x_n - x_i|^2 / (2 bandwidth^2) + constant, for real values.

    Raises:
        UserError: the bandwidth is out of its range, see `ranges.py`.
    """

    metric: ClassVar[Metric] = Metric.SQUARED_DISTANCE
    bandwidth: float
    """Standard deviation in the units of x, as sigma_x."""

    def __post_init__(self) -> None:
        check_bandwidth(self.bandwidth)

    def check(self, x: Float[Tensor, "B P"]) -> None:
        check_finite(x)

    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
        return x_train.float()

    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        return x.float()

    def log_kernel(self, statistic: Float[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return statistic.double() * (-0.5 / self.bandwidth**2)

    def settings(self) -> dict[str, Any]:
        return {}
