"""x -> base Gaussian and context of a flow: what the flow encoders share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.encoders.base import ALL_AT_ONCE, Encoder, EncoderConfig, Stage
from gpvae_core.encoders.flow_net import FlowStep
from gpvae_core.encoders.flow_posterior import Chain, FlowPosterior
from gpvae_core.encoders.gaussian import BaseFunctions, DiagonalGaussian, GaussianEncoder
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


class FlowConfig(EncoderConfig):
    """What the encoders with a conditional flow have in common."""

    flows: int = Field(default=4, ge=1, le=64, description="flows that z goes through")
    context: int = Field(default=64, ge=1, description="numbers the encoder network hands to each flow beside b and c")
    flow_width: int = Field(default=128, ge=1, description="units of the hidden layer of each flow's network")


class FlowEncoder(Encoder):
    """x -> N(b, c^2) carried through flows that know the context h(x)."""

    def __init__(
        self,
        net: NetConfig,
        event_shape: EventShape,
        latent_dim: int,
        config: FlowConfig,
        steps: Sequence[FlowStep],
    ) -> None:
        super().__init__()
        self.config = config
        self.base = BaseFunctions(net, event_shape, latent_dim)
        self.context = nn.Linear(net.feature_dim, config.context)
        self.flow = Chain(steps)

    def forward(self, x: Float[Tensor, "B C H W"]) -> FlowPosterior:
        features = self.base.trunk(x)
        b, c = self.base.from_features(features)
        return FlowPosterior(DiagonalGaussian(b, c), self.flow, self.context(features).to(b.dtype))

    def global_kl(self) -> Float[Tensor, ""]:
        return torch.zeros((), device=self.context.weight.device)

    def stages(self) -> tuple[Stage, ...]:
        return ALL_AT_ONCE

    def start_from(self, other: Encoder) -> None:
        """Everything from a trained encoder of the same family and size, or b and c from a trained VAE."""
        if isinstance(other, FlowEncoder) and other.config == self.config:
            self.load_state_dict(other.state_dict())
        elif isinstance(other, GaussianEncoder):
            self.base.load_state_dict(other.base.state_dict())
        else:
            name = self.config.method
            raise UserError(
                f"a '{name}' encoder with {self.config.flows} flows can start from a run trained with --method vae, "
                f"or with --method {name} and the same flows, context and flow_width"
            )
