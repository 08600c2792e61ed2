"""The Bernoulli kernel of binary images, softened by rho (Yacoby et al. 2024, eq. 21)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.kernels.base import KERNELS, Kernel, Metric
from gpvae_core.mapa.kernels.checks import ROWS, check_finite, check_rho


@KERNELS.register("bernoulli")
@dataclass(frozen=True)
class BernoulliKernel(Kernel):
    """Bernoulli kernel k = rho^(equal pixels) (1 - rho)^(differing pixels): eq. 21 softened on both sides.

    As printed, eq. 21 has p(x_n = 1) = rho x_i, which is still 0 where x_i = 0. A single white pixel of x_n on a black
    one of x_i then makes the whole product 0, which softening should prevent (`log_kernel_as_printed`). Here
    p(x_n = 1) is rho where x_i = 1 and 1 - rho where x_i = 0, so that log k = -hamming log(rho / (1 - rho)) + constant.
    For binary points the Hamming distance is the squared distance.

    Raises:
        UserError: rho is not in (0.5, 1).
    """

    metric: ClassVar[Metric] = Metric.SQUARED_DISTANCE
    rho: float = 0.9
    """Probability that a pixel of x_n equals that of x_i; the posterior is flat near 1/2 and peaked near 1."""

    def __post_init__(self) -> None:
        check_rho(self.rho)

    def check(self, x: Float[Tensor, "B P"]) -> None:
        check_finite(x)
        grey = sum(int(((part != 0) & (part != 1)).sum()) for part in x.split(ROWS))  # count of values not 0 or 1
        if grey:
            raise UserError(
                f"wanted binary images (0 or 1) for the Bernoulli kernel, got {grey} other values of {x.numel()}: "
                "binarise them, or take --set likelihood.kind=continuous_bernoulli (for values in [0, 1]) or "
                "the Gaussian likelihood (for points outside)"
            )

    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
        return x_train.float()

    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        return x.float()

    def log_kernel(self, statistic: Float[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return statistic.double() * (math.log1p(-self.rho) - math.log(self.rho))

    def settings(self) -> dict[str, Any]:
        return {}


def log_kernel_as_printed(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B P"], rho: float) -> Float64[Tensor, "B N"]:
    """Return log of eq. 21 as printed: sum_d log((rho x_i) x_n + (1 - rho x_i) (1 - x_n)); -inf where it is 0."""
    a, b = rho * x_train.double()[None], x.double()[:, None]
    return (a * b + (1 - a) * (1 - b)).log().sum(2)


def log_kernel_both_sides(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B P"], rho: float) -> Float64[Tensor, "B N"]:
    """Return the log of the kernel used here with its constant: (1 - rho) + (2 rho - 1) x_i in place of rho x_i."""
    p, b = (1 - rho) + (2 * rho - 1) * x_train.double()[None], x.double()[:, None]
    return torch.where(b > 0.5, p, 1 - p).log().sum(2)
