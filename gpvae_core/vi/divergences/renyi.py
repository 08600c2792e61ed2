"""Renyi's alpha divergence."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator
from torch import Tensor

from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence


@DIVERGENCES.register("renyi")
class RenyiDivergenceConfig(WeightDivergence):
    """Renyi divergence D_alpha(q || p) = 1 / (alpha - 1) log E_q[w^(1 - alpha)] in nats (Ganguly et al. 2023, eq. 28).

    It tends to KL(q || p) as alpha tends to 1. For alpha < 0 it is not positive: -D_alpha / alpha is a divergence, the
    one that is fitted, D_(1 - alpha)(p || q) / (1 - alpha).
    """

    kind: ClassVar[str] = "renyi"
    count: ClassVar[str] = "alpha"
    alpha: float = Field(default=0.5, ge=-5, le=10, allow_inf_nan=False, description="order alpha, other than 0 and 1")

    @model_validator(mode="after")
    def _order_has_a_gradient(self) -> RenyiDivergenceConfig:
        if self.alpha in (0.0, 1.0):
            other = "reverse-kl" if self.alpha else "none, as it is zero for every q"
            raise ValueError(f"alpha={self.alpha:g} is a limit: wanted another order (for 1: the divergence {other})")
        return self

    def value(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        s = 1.0 - self.alpha
        return -(s * log_w + log_mass).logsumexp(0) / s * self._sign

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # grad 1/(alpha - 1) log int q^alpha p^(1 - alpha) = alpha/(alpha - 1) E_q[w^(1 - alpha) grad log q] / E_q[...]
        s = 1.0 - self.alpha
        normaliser = (s * log_w + log_mass).logsumexp(0)
        return -self.alpha / s * (s * log_w - normaliser).exp() * self._sign

    @property
    def _sign(self) -> float:
        return 1.0 if self.alpha > 0 else -1.0
