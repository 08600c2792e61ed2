"""The chi divergence of order n."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence


@DIVERGENCES.register("chi")
class ChiConfig(WeightDivergence):
    """Chi divergence, as CUBO_n - log p(x) = 1/n log E_q[w^n] in nats: covers the mass (Dieng et al. 2017; eq. 26, 27).

    D_chi of eq. 26 is E_q[w^n] - 1, a function of it that grows with it.
    """

    kind: ClassVar[str] = "chi"
    count: ClassVar[str] = "order"
    order: float = Field(default=2.0, gt=1, le=10, allow_inf_nan=False, description="order n of the chi divergence")

    def value(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        return (self.order * log_w + log_mass).logsumexp(0) / self.order

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # grad 1/n log int p^n q^(1 - n) = (1 - n)/n E_q[w^n grad log q] / E_q[w^n]
        normaliser = (self.order * log_w + log_mass).logsumexp(0)
        return (1.0 - self.order) / self.order * (self.order * log_w - normaliser).exp()
