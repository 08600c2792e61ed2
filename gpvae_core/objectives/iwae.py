"""The importance-weighted bound of K samples."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gpvae_core.bounds import iwae
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.objectives.multi_sample import MultiSampleConfig


@OBJECTIVES.register("iwae")
class IwaeConfig(MultiSampleConfig):
    """Importance-weighted bound of K samples (Burda et al. 2016), tighter than the ELBO."""

    kind: ClassVar[str] = "iwae"
    method: ClassVar[str] = "iwae"

    def bound(self, log_w: Tensor) -> Tensor:
        """Return log 1/K sum_k w_k in nats."""
        return iwae(log_w)

    def damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k: F_k is the normalised weight v, F_kk = v (1 - v)."""
        return 1.0 - torch.softmax(log_w, 0)
