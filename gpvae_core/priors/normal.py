"""The standard normal prior."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from gpvae_core.priors.base import PRIORS, PriorConfig


@PRIORS.register("normal")
class NormalPriorConfig(PriorConfig):
    """Standard normal prior, N(0, I)."""

    kind: ClassVar[str] = "normal"

    def wrap(self, decoder: nn.Module, latent_dim: int) -> nn.Module:
        return decoder
