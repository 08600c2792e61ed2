"""f-divergences by their generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal, get_args

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence

Generator = Literal["kl", "forward-kl", "hellinger", "jensen-shannon", "pearson", "neyman"]
LOG_2 = math.log(2.0)

# For t = log w, w = p / q, and m the log mass of q at each point, so that exp(m + t) is the mass of p:
# the mass of p times f(q / p), and f'(q / p); written so that neither overflows where p or q all but vanishes.
F: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda t, m: -m.exp() * t, lambda t: 1.0 - t),
    "forward-kl": (lambda t, m: (m + t).exp() * t, lambda t: -t.exp()),
    "hellinger": (lambda t, m: ((0.5 * (m + t)).exp() - (0.5 * m).exp()).square(), lambda t: -(0.5 * t).expm1()),
    "jensen-shannon": (
        lambda t, m: 0.5 * ((m + t).exp() * t - (m.exp() + (m + t).exp()) * (softplus(t) - LOG_2)),
        lambda t: 0.5 * (LOG_2 - softplus(t)),
    ),
    "pearson": (lambda t, m: ((0.5 * (m - t)).exp() - (0.5 * (m + t)).exp()).square(), lambda t: 2.0 * (-t).expm1()),
    "neyman": (lambda t, m: ((0.5 * m + t).exp() - (0.5 * m).exp()).square(), lambda t: -(2.0 * t).expm1()),
}
"""Of generators with f(1) = 0."""
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
        return F[self.generator][0](log_w, log_mass).sum()

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # grad int p f(q / p) = int f'(q / p) grad q = E_q[f'(1 / w) grad log q]
        return F[self.generator][1](log_w)
