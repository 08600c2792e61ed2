"""Affine coupling flow (Dinh et al. 2017, RealNVP), which takes one network pass in either direction."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from zuko.transforms import CouplingTransform

from gpvae_core.encoders.base import ENCODERS
from gpvae_core.encoders.flow_encoder import FlowConfig, FlowEncoder
from gpvae_core.encoders.flow_net import FlowStep, ShiftAndScale
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


class CouplingStep(FlowStep):
    """Coupling step: the dimensions in `mask` stay unchanged and determine shift and scale of the others."""

    def __init__(self, mask: Bool[Tensor, " D"], width: int, context: int) -> None:
        super().__init__()
        self.mask = nn.Buffer(mask, persistent=False)
        a = int(mask.sum())
        # Within the network nothing is masked: every hidden unit has all unchanged dimensions as inputs.
        inputs, outputs = torch.ones(width, a, dtype=torch.bool), torch.ones(len(mask) - a, width, dtype=torch.bool)
        self.net = ShiftAndScale(inputs, outputs, context)

    def forward(self, h: Float[Tensor, "B H"]) -> CouplingTransform:
        return CouplingTransform(self.net.conditioned_on(h), self.mask)  # pyright: ignore[reportArgumentType]


@ENCODERS.register("coupling")
class CouplingConfig(FlowConfig):
    """Affine coupling flows on a diagonal Gaussian (Dinh et al. 2017); coupling:8 has 8.

    One half of z_{t-1} stays unchanged and, with the context h, determines shift and scale of the other half; the
    halves (even and odd dimensions) alternate. Sampling and evaluating log q at any z both take one pass.
    """

    kind: ClassVar[str] = "coupling"
    method: ClassVar[str] = "coupling"
    family: ClassVar[str] = "coupling flow"
    count: ClassVar[str] = "flows"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> FlowEncoder:
        if latent_dim < 2:
            raise UserError(f"a 'coupling' encoder wants at least 2 latent dimensions to couple, got {latent_dim}")
        odd = torch.arange(latent_dim) % 2 == 1
        steps = [CouplingStep(~odd if t % 2 else odd, self.flow_width, self.context) for t in range(self.flows)]
        return FlowEncoder(net, event_shape, latent_dim, self, steps)
