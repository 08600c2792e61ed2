"""The mean of several importance-weighted bounds."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.bounds import miwae
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.objectives.multi_sample import MultiSampleConfig
from gpvae_core.part import MOST_SAMPLES


@OBJECTIVES.register("miwae")
class MiwaeConfig(MultiSampleConfig):
    """Mean of several importance-weighted bounds of K samples each (Rainforth et al. 2018): less noise, as tight."""

    kind: ClassVar[str] = "miwae"
    method: ClassVar[str] = "miwae"
    wants: ClassVar[dict[str, Any]] = {"train.samples": 5}
    groups: int = Field(
        default=4, ge=1, le=MOST_SAMPLES, description="number M of groups, each of train.samples samples"
    )

    def bound(self, log_w: Tensor) -> Tensor:
        """Return the mean of the groups' importance-weighted bounds in nats."""
        return miwae(log_w.unflatten(0, (self.groups, -1)))

    def damping(self, log_w: Tensor) -> Tensor:
        """Return F_kk / F_k, one minus the weight normalised within its group."""
        return 1.0 - torch.softmax(log_w.unflatten(0, (self.groups, -1)), 1).flatten(0, 1)

    def draws(self, k: int) -> int:
        """Return M k, k samples for each group."""
        return self.groups * k
