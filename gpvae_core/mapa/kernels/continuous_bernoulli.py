"""The continuous Bernoulli kernel of grey images in [0, 1] (Yacoby et al. 2024, B.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.likelihoods.continuous_bernoulli import log_sinhc
from gpvae_core.mapa.kernels.base import KERNELS, Kernel, Metric
from gpvae_core.mapa.kernels.checks import ROWS, check_finite, check_rho


def softened_logit(x: Float[Tensor, "*shape"], rho: float) -> Float64[Tensor, "*shape"]:
    """g = logit(lambda), lambda = (1 - rho) + (2 rho - 1) x.

    In float64, and 1 - lambda by itself: in float32 a rho close to 1 would make lambda = 1 and g infinite.
    """
    x = x.double()
    return torch.log((1 - rho) + (2 * rho - 1) * x) - torch.log((1 - rho) + (2 * rho - 1) * (1 - x))


@KERNELS.register("continuous_bernoulli")
@dataclass(frozen=True)
class ContinuousBernoulliKernel(Kernel):
    """log k = (x_n' g_i - sum_d A(g_i)) / temperature, with lambda_i = x_i drawn in from 0 and 1 by rho.

    An inner product of [g_i, -sum_d A(g_i)] and [x_n, 1]. It is not symmetric, and a point need not be the most
    probable under its own kernel: the mean of a continuous Bernoulli lies nearer to 1/2 than lambda.

    Raises:
        UserError: rho outside of (0.5, 1), a temperature that is not above 0 and finite.
    """

    metric: ClassVar[Metric] = Metric.INNER_PRODUCT
    rho: float = 0.9
    """lambda runs from 1 - rho to rho; the search depends on it."""
    temperature: float = 1.0
    """Divides log k; may be changed after the search."""

    def __post_init__(self) -> None:
        check_rho(self.rho)
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise UserError(f"wanted a kernel temperature above 0 (1 leaves it as it is), got {self.temperature:g}")

    def check(self, x: Float[Tensor, "B P"]) -> None:
        check_finite(x)
        outside = sum(int(((part < 0) | (part > 1)).sum()) for part in x.split(ROWS))
        if outside:
            raise UserError(
                f"wanted grey levels in [0, 1] for the continuous Bernoulli kernel, got {outside} values outside: "
                "rescale them, or take the gaussian kernel"
            )

    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N Q"]:
        found = torch.empty(len(x_train), x_train.shape[1] + 1, dtype=torch.float32, device=x_train.device)
        for start in range(0, len(x_train), ROWS):
            g = softened_logit(x_train[start : start + ROWS], self.rho)
            found[start : start + ROWS, :-1] = g
            found[start : start + ROWS, -1] = -(0.5 * g + log_sinhc(0.5 * g)).sum(1)
        return found

    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
        return torch.cat([x.float(), torch.ones(len(x), 1, device=x.device)], dim=1)

    def log_kernel(self, statistic: Float[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return statistic.double() / self.temperature

    def settings(self) -> dict[str, Any]:
        return {"rho": self.rho}
