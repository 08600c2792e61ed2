"""Composition of flow steps: the invertible map of the flow encoders, in both directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.flow import LATENTS_AT_ONCE, Flow, FlowOutput
from gpvae_core.encoders.flow_net import Bijection, FlowStep


class Chain(nn.Module, Flow):
    """Composition of flow steps, computed in the parameters' precision whatever autocast is active."""

    def __init__(self, steps: Sequence[FlowStep]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], inverse: bool = False) -> FlowOutput:
        with torch.autocast(z.device.type, enabled=False):
            chain: list[Bijection] = [step(h) for step in self.steps]
            apply = _inverse if inverse else _forward
            parts = [apply(chain, part) for part in z.split(max(1, LATENTS_AT_ONCE // z.shape[1]))]
        return FlowOutput(torch.cat([part.z for part in parts]), torch.cat([part.log_det for part in parts]))

    def detached(self) -> Flow:
        return FixedFlow(self)


def _forward(chain: Sequence[Bijection], z: Float[Tensor, "K B D"]) -> FlowOutput:
    log_det = torch.zeros_like(z[..., 0])
    for step in chain:
        z, step_log_det = step.call_and_ladj(z)
        log_det = log_det + step_log_det
    return FlowOutput(z, log_det)


def _inverse(chain: Sequence[Bijection], z: Float[Tensor, "K B D"]) -> FlowOutput:
    # log |det dz_{t-1}/dz_t| = -log |det dz_t/dz_{t-1}|
    log_det = torch.zeros_like(z[..., 0])
    for step in reversed(chain):
        previous = step._inverse(z)
        log_det = log_det - step.log_abs_det_jacobian(previous, z)
        z = previous
    return FlowOutput(z, log_det)


class FixedFlow(Flow):
    """Flow whose parameters are constants."""

    def __init__(self, flow: Chain) -> None:
        self._flow = flow
        self._values = {name: value.detach() for name, value in flow.named_parameters()}

    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], inverse: bool = False) -> FlowOutput:
        # NOTE: functional_call runs the module with other tensors as its parameters, here the detached ones.
        return torch.func.functional_call(self._flow, self._values, (z, h, inverse))

    def detached(self) -> Flow:
        return self
