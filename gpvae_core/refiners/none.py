"""No refinement: the posterior is the encoder's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.nets.base import NetConfig
from gpvae_core.refiners.base import REFINERS, Model, Refiner, RefinerConfig
from gpvae_core.types import EventShape


class NoRefiner(Refiner):
    """The identity refiner, q -> q."""

    def path(
        self, model: Model, x: Tensor, q: Posterior, generator: torch.Generator | None = None
    ) -> Sequence[Posterior]:
        return [q]


@REFINERS.register("none")
class NoRefinerConfig(RefinerConfig):
    """No refinement: the posterior is the encoder's."""

    kind: ClassVar[str] = "none"
    method: ClassVar[str] = ""

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> NoRefiner:
        return NoRefiner()
