"""The interface of a prior: the pushforward of N(0, I) by a map, which becomes a part of the decoder.

With u ~ N(0, I) and z = h(u), decoding f(h(u)) is the same model as decoding f(z) with the prior of h(u). So the
latents u of every model have the prior N(0, I), and inference need not know h.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from torch import nn

from gpvae_core.registry import Registry


class PriorConfig(BaseModel, ABC):
    """Settings of one prior."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    over_instances: ClassVar[bool] = False
    """Whether it correlates the latents of instances, so that only inference under such a prior takes it."""

    @abstractmethod
    def wrap(self, decoder: nn.Module, latent_dim: int) -> nn.Module:
        """Return f(h(.)) for the decoder f, a map (B, D) -> (B, C, H, W)."""


PRIORS: Registry[type[PriorConfig]] = Registry("prior", "gpvae_core.priors")
