"""A decoder composed with a map of the latents: f(h(u)) with u ~ N(0, I), so that z = h(u) has another prior."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.base import log_standard_normal


class LatentMap(nn.Module, ABC):
    """Invertible map h of the latent space, z = h(u) with u ~ N(0, I)."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Return z = h(u)."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        """Return u = h^-1(z), and log |det du/dz| there."""

    @abstractmethod
    def start_at(self, m: Float[Tensor, " D"], chol: Float[Tensor, "D D"]) -> None:
        """Initialise the map to u -> m + L u, for a fit to points with mean m and covariance L L'."""

    def log_density(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Return log p(z) in nats: log N(u; 0, I) + log |det du/dz|."""
        u, log_det = self.inverse(z)
        return log_standard_normal(u) + log_det


class Pushforward(nn.Module):
    """Decoder u -> f(h(u))."""

    def __init__(self, h: LatentMap, f: nn.Module) -> None:
        super().__init__()
        self.h, self.f = h, f

    def forward(self, u: Float[Tensor, "B D"]) -> Float[Tensor, "B ..."]:
        return self.f(self.h(u))
