"""The interface of a divergence between q(z) and the posterior: its value, and the gradient by which q is fitted.

Most are expectations under q of a function of w = p(z|x) / q(z), so that samples of q or the nodes of a grid with their
masses under q give the value, and the score function gives the gradient: grad D = E_q[c(w) grad log q(z)].
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vi.gradients.base import Drawn, flat_gradient


@dataclass(frozen=True)
class Fit:
    """A divergence estimated from samples, and its gradient in the family's parameters."""

    value: float
    """The divergence, in nats where it is a logarithm; its normalisation is that of `DivergenceConfig.estimate`."""
    gradient: Float[Tensor, " P"]


class DivergenceConfig(PartConfig):
    """One divergence; as it has no parameters of its own, the config is the divergence itself."""

    method: ClassVar[str] = ""

    @abstractmethod
    def estimate(self, draw: Drawn) -> Fit:
        """Estimate the divergence of q from the posterior, and its gradient, from samples of q.

        The posterior is known up to p(x) alone: weights are divided by their mean, which estimates p(x).
        """


DIVERGENCES: Registry[type[DivergenceConfig]] = Registry("divergence", "gpvae_core.vi.divergences")


class WeightDivergence(DivergenceConfig):
    """Divergence that is a function of log w = log p(z|x) - log q(z) at samples of q."""

    @abstractmethod
    def value(self, log_w: Float[Tensor, " K"], log_mass: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """Return the divergence from log w at points of these log masses under q, which add up to one."""

    @abstractmethod
    def coefficient(self, log_w: Float[Tensor, " K"], log_mass: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
        """Return c of each point: the divergence's gradient is E_q[c grad log q(z)], whatever is added to c."""

    @final
    def estimate(self, draw: Drawn) -> Fit:
        q = draw.family.density()
        z = q.rsample_and_log_prob(draw.k, draw.generator)[0].detach()
        log_q = q.log_prob(z)[:, 0]
        log_w = (draw.log_density(z[:, 0]) - log_q).detach()
        log_mass = torch.full_like(log_w, 1.0 / draw.k).log()
        log_w = log_w - (log_w + log_mass).logsumexp(0)
        c = self.coefficient(log_w, log_mass)
        # The score has mean zero: c less its mean over the other samples has less variance and the same expectation.
        if draw.k > 1:
            c = (c - c.mean()) * draw.k / (draw.k - 1)
        return Fit(float(self.value(log_w, log_mass)), flat_gradient((c * log_q).mean(), draw.family))
