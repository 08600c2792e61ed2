"""The combined bound CIWAE: a weighted mean of ELBO and importance-weighted bound."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import ciwae
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.objectives.multi_sample import MultiSampleConfig


@OBJECTIVES.register("ciwae")
class CiwaeConfig(MultiSampleConfig):
    """Combination of ELBO and importance-weighted bound, beta ELBO + (1 - beta) IWAE (Rainforth et al. 2018)."""

    kind: ClassVar[str] = "ciwae"
    method: ClassVar[str] = "ciwae"
    beta: float = Field(default=0.5, ge=0, le=1, description="weight of the ELBO in CIWAE; 0 is IWAE, 1 the ELBO")

    def bound(self, log_w: Tensor) -> Tensor:
        """Return beta ELBO + (1 - beta) IWAE in nats."""
        return ciwae(log_w, self.beta)

    def damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k: F_k = beta / K + (1 - beta) v, F_kk = (1 - beta) v (1 - v), v the normalised weight."""
        v = torch.softmax(log_w, 0)
        first_derivative = self.beta / len(v) + (1.0 - self.beta) * v
        # NOTE: at beta = 0 both derivatives vanish with v, which may underflow to zero.
        return (1.0 - self.beta) * v * (1.0 - v) / first_derivative.clamp_min(torch.finfo(v.dtype).tiny)
