"""Flow steps one after the other: the map of the flow encoders, in both directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.flow import LATENTS_AT_ONCE, Flow, Mapped
from gpvae_core.encoders.flow_net import Bijection, FlowStep


class Chain(nn.Module, Flow):
    """Flow steps one after the other. Its algebra stays in the parameters' precision."""

    def __init__(self, steps: Sequence[FlowStep]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], back: bool = False) -> Mapped:
        with torch.autocast(z.device.type, enabled=False):
            chain: list[Bijection] = [step(h) for step in self.steps]
            through = _backward if back else _forward
            parts = [through(chain, part) for part in z.split(max(1, LATENTS_AT_ONCE // z.shape[1]))]
        return Mapped(torch.cat([part.z for part in parts]), torch.cat([part.log_det for part in parts]))

    def detached(self) -> Flow:
        return FixedFlow(self)


def _forward(chain: Sequence[Bijection], z: Float[Tensor, "K B D"]) -> Mapped:
    log_det = torch.zeros_like(z[..., 0])
    for one in chain:
        z, change = one.call_and_ladj(z)
        log_det = log_det + change
    return Mapped(z, log_det)


def _backward(chain: Sequence[Bijection], z: Float[Tensor, "K B D"]) -> Mapped:
    log_det = torch.zeros_like(z[..., 0])
    for one in reversed(chain):
        before = one._inverse(z)
        log_det = log_det - one.log_abs_det_jacobian(before, z)
        z = before
    return Mapped(z, log_det)


class FixedFlow(Flow):
    """A flow whose parameters are constants."""

    def __init__(self, flow: Chain) -> None:
        self._flow = flow
        self._values = {name: value.detach() for name, value in flow.named_parameters()}

    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], back: bool = False) -> Mapped:
        return torch.func.functional_call(self._flow, self._values, (z, h, back))

    def detached(self) -> Flow:
        return self
