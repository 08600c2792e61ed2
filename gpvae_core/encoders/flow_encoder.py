"""The network that the flow encoders share: x -> base Gaussian and context of a flow."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.flow import FlowPosterior
from gpvae_core.encoders.base import BaseFunctionEncoder, EncoderConfig
from gpvae_core.encoders.flow_chain import Chain
from gpvae_core.encoders.flow_net import FlowStep
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST_UNITS
from gpvae_core.types import EventShape


class FlowConfig(EncoderConfig):
    """Settings that all encoders with a conditional flow have."""

    flows: int = Field(default=4, ge=1, le=64, description="number of flow steps")
    context: int = Field(
        default=64, ge=1, le=MOST_UNITS, description="size of the context h(x) that each flow gets besides b and c"
    )
    flow_width: int = Field(
        default=128, ge=1, le=MOST_UNITS, description="units of the hidden layer of each flow's network"
    )


class FlowEncoder(BaseFunctionEncoder):
    """Encoder x -> N(b, Diag(c)^2) transformed by flows that are conditioned on a context h(x)."""

    def __init__(
        self,
        net: NetConfig,
        event_shape: EventShape,
        latent_dim: int,
        config: FlowConfig,
        steps: Sequence[FlowStep],
    ) -> None:
        super().__init__(net, event_shape, latent_dim)
        self.config = config
        self.context = nn.Linear(net.feature_dim, config.context)
        self.flow = Chain(steps)

    def forward(self, x: Float[Tensor, "B C H W"]) -> FlowPosterior:
        features = self.base.trunk(x)
        b, c = self.base.from_features(features)
        return FlowPosterior(DiagonalGaussian(b, c), self.flow, self.context(features).to(b.dtype))

    def size(self) -> FlowConfig:
        return self.config

    @property
    def origins(self) -> str:
        name = self.config.method
        return (
            f"a '{name}' encoder with {self.config.flows} flows can start from a run trained with --method vae, "
            f"or with --method {name} and the same flows, context and flow_width"
        )
