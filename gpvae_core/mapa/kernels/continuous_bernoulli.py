"""The continuous Bernoulli kernel of grey images in [0, 1] (Yacoby et al. 2024, B.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.likelihoods.continuous_bernoulli import log_sinhc
from gpvae_core.mapa.kernels.base import KERNELS, Kernel, Metric
from gpvae_core.mapa.kernels.checks import ROWS, check_finite, check_rho
from gpvae_core.mapa.ranges import check_temperature


def softened_logit(x: Float[Tensor, "*shape"], rho: float) -> Float64[Tensor, "*shape"]:
    """Return g = logit(lambda) with lambda = (1 - rho) + (2 rho - 1) x, in float64."""
    # NOTE: in float32 a rho close to 1 would round lambda to 1 and make g infinite. 1 - lambda is computed as
    # (1 - rho) + (2 rho - 1) (1 - x), without cancellation.
    x = x.double()
    return torch.log((1 - rho) + (2 * rho - 1) * x) - torch.log((1 - rho) + (2 * rho - 1) * (1 - x))


@KERNELS.register("continuous_bernoulli")
@dataclass(frozen=True)
class ContinuousBernoulliKernel(Kernel):
    """Continuous Bernoulli kernel log k = (x_n' g_i - sum_d A(g_id)) / temperature, g_i = logit(lambda_i).

    lambda_i = (1 - rho) + (2 rho - 1) x_i is x_i moved away from 0 and 1. The statistic is the inner product of
    [g_i, -sum_d A(g_id)] and [x_n, 1]. It is not symmetric, and a point need not be the most probable one under its own
    kernel, because the mean of a continuous Bernoulli is nearer to 1/2 than lambda.

    Raises:
        UserError: rho is not in (0.5, 1), or the temperature is out of its range, see `ranges.py`.
    """

    metric: ClassVar[Metric] = Metric.INNER_PRODUCT
    rho: float = 0.9
    """Largest lambda; the smallest is 1 - rho. The search depends on it."""
    temperature: float = 1.0
    """Divisor of log k; it can be changed after the search."""

    def __post_init__(self) -> None:
        check_rho(self.rho)
        check_temperature(self.temperature)

    def check(self, x: Float[Tensor, "B P"]) -> None:
        check_finite(x)
        outside = sum(int(((part < 0) | (part > 1)).sum()) for part in x.split(ROWS))
        if outside:
            raise UserError(
                f"wanted grey levels in [0, 1] for the continuous Bernoulli kernel, got {outside} values outside: "
                "rescale them, or take the gaussian kernel"
            )

    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N Q"]:
        vectors = torch.empty(len(x_train), x_train.shape[1] + 1, dtype=torch.float32, device=x_train.device)
        for start in range(0, len(x_train), ROWS):
            g = softened_logit(x_train[start : start + ROWS], self.rho)
            vectors[start : start + ROWS, :-1] = g
            # A(g) = log((e^g - 1) / g) = g/2 + log(sinh(g/2) / (g/2)), which is stable for large |g| and at g = 0
            vectors[start : start + ROWS, -1] = -(0.5 * g + log_sinhc(0.5 * g)).sum(1)
        return vectors

    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
        return torch.cat([x.float(), torch.ones(len(x), 1, device=x.device)], dim=1)

    def log_kernel(self, statistic: Float[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
        return statistic.double() / self.temperature

    def settings(self) -> dict[str, Any]:
        return {"rho": self.rho}
