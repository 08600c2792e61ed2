"""The base functions b(x) and c(x) on which most encoders are built (Kim & Pavlovic 2021, eq. 4-6)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


class BaseFunctions(nn.Module):
    """Network x -> b(x), c(x) of one trunk and one linear layer; c is positive by a softplus."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, beside: int = 0) -> None:
        """Build the network; `beside` is how many numbers stand beside the trunk's features in `from_features`."""
        super().__init__()
        self.trunk = net.trunk(event_shape)
        self.head = nn.Linear(net.feature_dim + beside, 2 * latent_dim)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Return b(x) and c(x)."""
        return self.from_features(self.trunk(x))

    def from_features(self, features: Float[Tensor, "B P"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Return b(x) and c(x) from the trunk's features of x."""
        # Under autocast the trunk's features may be in half precision; b and c have the dtype of the weights.
        b, raw = self.head(features).to(self.head.weight.dtype).chunk(2, dim=-1)
        return b, nn.functional.softplus(raw) + 1e-6
