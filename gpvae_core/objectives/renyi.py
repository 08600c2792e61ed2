"""The variational Renyi bound."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import renyi
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.objectives.multi_sample import MultiSampleConfig
from gpvae_core.part import MOST


@OBJECTIVES.register("renyi")
class RenyiConfig(MultiSampleConfig):
    """Variational Renyi bound of K samples (Li & Turner 2016): alpha = 1 is the ELBO, alpha = 0 is IWAE.

    With alpha < 0 the mean of the K-sample estimate may lie above log p(x); it is maximised nevertheless, as Li &
    Turner do.
    """

    kind: ClassVar[str] = "renyi"
    method: ClassVar[str] = "renyi"
    alpha: float = Field(
        default=0.5, ge=-MOST, le=MOST, allow_inf_nan=False, description="order of the Renyi divergence"
    )

    def bound(self, log_w: Tensor) -> Tensor:
        """Return 1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha) in nats."""
        return renyi(log_w, self.alpha)

    def damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k: F_k is the normalised v = w^(1 - alpha), F_kk = (1 - alpha) v (1 - v)."""
        s = 1.0 - self.alpha
        return s * (1.0 - torch.softmax(s * log_w, 0))
