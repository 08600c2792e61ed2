"""Mixture encoder ME: a mixture of diagonal Gaussians from one network (Kim & Pavlovic 2021, sec. 5).

Means and scales follow the objective through the samples. The weights follow the ELBO at the training images by an
estimate of their own (`weights_reward`), with any objective, with no KL warm-up; regularisers that draw samples of an
answer do not move them.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.encoders.base import ENCODERS, Encoder, EncoderConfig, Stage
from gpvae_core.encoders.gaussian import GaussianEncoder
from gpvae_core.encoders.mixture_density import GaussianMixture, weights_reward
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

SPREAD = 0.01
"""How much of its own random start each component keeps when all start as one VAE's Gaussian."""


class MixtureEncoder(Encoder):
    """x -> weights, means and standard deviations of C components, from one trunk."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, components: int) -> None:
        super().__init__()
        self.components = components
        self.trunk = net.trunk(event_shape)
        self.head = nn.Linear(net.feature_dim, components * 2 * latent_dim)
        self.weights = nn.Linear(net.feature_dim, components)

    def forward(self, x: Float[Tensor, "B C H W"]) -> GaussianMixture:
        features = self.trunk(x)
        raw = self.head(features).to(self.head.weight.dtype).unflatten(-1, (self.components, -1))
        m, raw_s = raw.chunk(2, dim=-1)
        log_w = self.weights(features).to(raw.dtype).log_softmax(-1)
        return GaussianMixture(log_w, m, nn.functional.softplus(raw_s) + 1e-6)

    def global_kl(self) -> Float[Tensor, ""]:
        return torch.zeros((), device=self.head.weight.device)

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("all", ("",), 1.0, reward=weights_reward),)

    @torch.no_grad()
    def start_from(self, other: Encoder) -> None:
        """Everything from a trained encoder of this family and size, or all components near a VAE's Gaussian."""
        if isinstance(other, MixtureEncoder) and other.components == self.components:
            self.load_state_dict(other.state_dict())
        elif isinstance(other, GaussianEncoder):
            self.trunk.load_state_dict(other.base.trunk.state_dict())
            given = other.base.head
            weight = SPREAD * self.head.weight + given.weight.repeat(self.components, 1)
            bias = SPREAD * self.head.bias + given.bias.repeat(self.components)
            self.head.load_state_dict({"weight": weight, "bias": bias})
        else:
            raise UserError(
                f"an 'me' encoder with {self.components} components can start from a run trained with --method vae, "
                "or with --method me and as many components"
            )


@ENCODERS.register("mixture")
class MixtureConfig(EncoderConfig):
    """Mixture of diagonal Gaussians, trained blindly, all components at once; me:5 has 5."""

    kind: ClassVar[str] = "mixture"
    method: ClassVar[str] = "me"
    count: ClassVar[str] = "components"
    counts: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    components: int = Field(default=3, ge=1, le=64, description="Gaussians in the mixture")

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> MixtureEncoder:
        return MixtureEncoder(net, event_shape, latent_dim, self.components)
