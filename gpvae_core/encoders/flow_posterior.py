"""A diagonal Gaussian carried through invertible maps: the posterior of the flow encoders.

z_0 ~ N(b(x), Diag(c(x))^2), z = f_T(... f_1(z_0; h) ...; h) with a context h(x), and
log q(z|x) = log q(z_0|x) - sum_t log |det df_t/dz_{t-1}| (Rezende & Mohamed 2015, eq. 13).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.encoders.base import Posterior, Samples, Uncertainty, sampled_kl
from gpvae_core.encoders.flow_net import Bijection, FlowStep
from gpvae_core.encoders.gaussian import DiagonalGaussian

KL_SAMPLES = 16
"""Fresh samples for a KL where the caller gives none."""
MOMENT_PAIRS = 1024
"""Antithetic pairs of noise from which mean and variance are computed."""
CHUNK = 1 << 15
"""Latents that go through the flows at once: more of them leave the processor's cache."""


class Mapped(NamedTuple):
    """Where an invertible map takes z, and the log |det| of its Jacobian in that direction."""

    z: Float[Tensor, "K B D"]
    log_det: Float[Tensor, "K B"]


class Flow(ABC):
    """An invertible map of z given a context h, in both directions."""

    @abstractmethod
    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], back: bool = False) -> Mapped:
        """f(z; h), or its inverse where `back`."""

    @abstractmethod
    def detached(self) -> Flow:
        """The same map cut off from its parameters."""


class Chain(nn.Module, Flow):
    """Flow steps one after the other. Its algebra stays in the parameters' precision."""

    def __init__(self, steps: Sequence[FlowStep]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, z: Float[Tensor, "K B D"], h: Float[Tensor, "B H"], back: bool = False) -> Mapped:
        with torch.autocast(z.device.type, enabled=False):
            chain: list[Bijection] = [step(h) for step in self.steps]
            through = _backward if back else _forward
            parts = [through(chain, part) for part in z.split(max(1, CHUNK // z.shape[1]))]
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


@cache
def common_noise(d: int) -> Float[Tensor, "M D"]:
    """The same 2 MOMENT_PAIRS standard normal points for every image: scrambled Sobol points, and their mirror images.

    Odd functions of the noise (the linear part of a flow) average to zero exactly.
    """
    points = torch.quasirandom.SobolEngine(d, scramble=True, seed=0).draw(MOMENT_PAIRS, dtype=torch.float64)
    eps = torch.special.ndtri(points.clamp(1e-9, 1 - 1e-9))
    eps = eps / eps.square().mean(0).sqrt()
    return torch.cat([eps, -eps]).float()


class FlowPosterior(Posterior):
    """N(m, Diag(s)^2) carried through a flow. KL by sampling; mean and variance over common noise."""

    def __init__(self, start: DiagonalGaussian, flow: Flow, h: Float[Tensor, "B H"]) -> None:
        self.start, self.flow, self.h = start, flow, h

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        z_0, log_q = self.start.rsample_and_log_prob(k, generator)
        z, log_det = self.flow.forward(z_0, self.h)
        return z, log_q - log_det

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        z_0, log_det = self.flow.forward(z, self.h, back=True)
        return self.start.log_prob(z_0) + log_det

    @cached_property
    def _moments(self) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Mean and variance over the common noise, about where the flow takes the start's mean."""
        m, s = self.start.m, self.start.s
        eps = common_noise(m.shape[-1]).to(m).unsqueeze(1)
        centre = self.flow.forward(m.unsqueeze(0), self.h).z[0]
        first, second = torch.zeros_like(m), torch.zeros_like(m)
        for part in eps.split(max(1, CHUNK // len(m))):
            off = self.flow.forward(m + s * part, self.h).z - centre
            first, second = first + off.sum(0), second + off.square().sum(0)
        first, second = first / len(eps), second / len(eps)
        return centre + first, second - first.square()

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self._moments[0]

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self._moments[1]

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        return sampled_kl(samples or self.rsample_and_log_prob(KL_SAMPLES, generator))

    def detached(self) -> FlowPosterior:
        return FlowPosterior(self.start.detached(), self.flow.detached(), self.h.detach())

    def base(self) -> Posterior:
        """The Gaussian before the flow."""
        return self.start

    def uncertainty(self) -> Uncertainty | None:
        return None
