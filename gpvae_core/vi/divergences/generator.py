"""f-divergences by their generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal, get_args

from pydantic import Field
from torch import Tensor

from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence

Generator = Literal["kl", "forward-kl", "hellinger", "jensen-shannon", "pearson", "neyman"]
LOG_2 = math.log(2.0)

# f(u) and f'(u) as functions of log u, u = q / p
F: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda t: t.exp() * t, lambda t: t + 1.0),
    "forward-kl": (lambda t: -t, lambda t: -(-t).exp()),
    "hellinger": (lambda t: (0.5 * t).expm1().square(), lambda t: 1.0 - (-0.5 * t).exp()),
    "jensen-shannon": (
        lambda t: 0.5 * (t.exp() * t - (1.0 + t.exp()) * (t.exp().log1p() - LOG_2)),
        lambda t: 0.5 * (t - t.exp().log1p() + LOG_2),
    ),
    "pearson": (lambda t: t.expm1().square(), lambda t: 2.0 * t.expm1()),
    "neyman": (lambda t: t.expm1().square() * (-t).exp(), lambda t: 1.0 - (-2.0 * t).exp()),
}
"""Generators with f(1) = 0, and their derivatives."""
assert tuple(F) == get_args(Generator)


@DIVERGENCES.register("f")
class FDivergenceConfig(WeightDivergence):
    """f-divergence int p f(q / p) dz of a convex generator f with f(1) = 0 (Ganguly et al. 2023, eq. 30)."""

    kind: ClassVar[str] = "f"
    count: ClassVar[str] = "generator"
    generator: Generator = Field(
        default="hellinger",
        description="generator f: kl (u log u), forward-kl (-log u), hellinger ((sqrt(u) - 1)^2), jensen-shannon, "
        "pearson ((u - 1)^2) or neyman ((u - 1)^2 / u), with u = q / p",
    )

    def value(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # int p f(q / p) = E_q[w f(1 / w)]
        return ((log_mass + log_w).exp() * F[self.generator][0](-log_w)).sum()

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # grad int p f(q / p) = int f'(q / p) grad q = E_q[f'(1 / w) grad log q]
        return F[self.generator][1](-log_w)
