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


def _places(width: int, d: int) -> Int[Tensor, " W"]:
    """Return how many dimensions each hidden unit sees, 0 to d - 1 (from 1 where units are fewer than dimensions)."""
    units = torch.arange(width)
    return units % d if width >= d else ((units + 1) * d - 1) // width


class AutoregressiveStep(FlowStep):
    """A flow whose dimension i of mu and sigma sees the z that come before it in the order (Germain et al. 2015).

    Hidden units are dealt out evenly: unit u sees the first u mod D dimensions of the order. Where there are fewer of
    them than dimensions, they are spread over the order so that the last one sees all dimensions but the last.
    """

    def __init__(self, order: Int[Tensor, " D"], width: int, context: int) -> None:
        super().__init__()
        self.passes = len(order)
        place = _places(width, len(order))
        self.net = ShiftAndScale(order < place.unsqueeze(1), place <= order.unsqueeze(1), context)

    def forward(self, h: Float[Tensor, "B H"]) -> AutoregressiveTransform:
        return AutoregressiveTransform(self.net.given(h), self.passes)


@ENCODERS.register("iaf")
class IAFConfig(FlowConfig):
    """Inverse autoregressive flows on a diagonal Gaussian (Kingma et al. 2016); iaf:8 has 8.

    z_t = mu_t(z_{t-1}, h) + sigma_t(z_{t-1}, h) z_{t-1}, where dimension i of mu_t and sigma_t sees the dimensions
    before it: a sample takes one pass through each network, log q of a z from elsewhere D of them. The order of the
    dimensions is turned round from flow to flow.
    """

    kind: ClassVar[str] = "iaf"
    method: ClassVar[str] = "iaf"
    count: ClassVar[str] = "flows"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> FlowEncoder:
        order = torch.arange(latent_dim)
        orders = [order.flip(0) if t % 2 else order for t in range(self.flows)]
        steps = [AutoregressiveStep(one, self.flow_width, self.context) for one in orders]
        return FlowEncoder(net, event_shape, latent_dim, self, steps)
