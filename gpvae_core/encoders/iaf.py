"""Inverse autoregressive flow (Kingma et al. 2016; Kim & Pavlovic 2021, sec. 5)."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from zuko.transforms import AutoregressiveTransform

from gpvae_core.encoders.base import ENCODERS
from gpvae_core.encoders.flow_encoder import FlowConfig, FlowEncoder
from gpvae_core.encoders.flow_net import FlowStep, ShiftAndScale
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


def _degrees(width: int, d: int) -> Int[Tensor, " W"]:
    """Return the number of dimensions that each hidden unit sees, 0 to d - 1 (1 to d - 1 with fewer units than d)."""
    units = torch.arange(width)
    return units % d if width >= d else ((units + 1) * d - 1) // width


class AutoregressiveStep(FlowStep):
    """Autoregressive step: mu_i and sigma_i depend on the z that precede z_i in an order (Germain et al. 2015, MADE).

    The degree of a hidden unit is the number of dimensions that it sees, the first ones of the order. Degrees are
    distributed evenly: unit u has the degree u mod D. Units fewer than dimensions are spread over the order so that the
    last one sees all dimensions but the last.
    """

    def __init__(self, order: Int[Tensor, " D"], width: int, context: int) -> None:
        super().__init__()
        self.passes = len(order)
        degree = _degrees(width, len(order))
        # A unit of degree n sees positions 0 to n - 1; output i sees units of a degree up to i, so only positions < i.
        self.net = ShiftAndScale(order < degree.unsqueeze(1), degree <= order.unsqueeze(1), context)

    def forward(self, h: Float[Tensor, "B H"]) -> AutoregressiveTransform:
        return AutoregressiveTransform(self.net.conditioned_on(h), self.passes)


@ENCODERS.register("iaf")
class IAFConfig(FlowConfig):
    """Inverse autoregressive flows on a diagonal Gaussian (Kingma et al. 2016); iaf:8 has 8.

    z_t = mu_t(z_{t-1}, h) + sigma_t(z_{t-1}, h) z_{t-1}, where dimension i of mu_t and sigma_t depends on the preceding
    dimensions: sampling takes one pass through each network, evaluating log q at any z takes D passes. The order of the
    dimensions is reversed from flow to flow.
    """

    kind: ClassVar[str] = "iaf"
    method: ClassVar[str] = "iaf"
    family: ClassVar[str] = "inverse autoregressive flow (IAF)"
    count: ClassVar[str] = "flows"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> FlowEncoder:
        order = torch.arange(latent_dim)
        orders = [order.flip(0) if t % 2 else order for t in range(self.flows)]
        steps = [AutoregressiveStep(order, self.flow_width, self.context) for order in orders]
        return FlowEncoder(net, event_shape, latent_dim, self, steps)
