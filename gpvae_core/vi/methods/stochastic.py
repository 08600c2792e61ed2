"""Stochastic variational inference (Hoffman et al. 2013; Ganguly et al. 2023, Algorithm 2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Gaussian
from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.gradients.base import drawn_batch, flat_gradient
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference, sampled_elbo
from gpvae_core.vi.methods.natural import gaussian_family, natural_step


def ordinary_gradient(family: GaussianFamily, gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return the ELBO's gradient in the family's parameters, from the expected derivatives of log p(x, z).

    The derivative of E_q[log p] is g in the mean and H / 2 in the covariance (Bonnet 1964, Price 1958), and the entropy
    is log det L up to a constant.
    """
    q = family.density()
    factor = q.lower_factor()[0]
    energy = gradient.detach() @ q.mean[0] + 0.5 * (hessian.detach() * (factor @ factor.T)).sum()
    return flat_gradient(energy + q.log_det()[0], family)


@torch.no_grad()
def move(family: torch.nn.Module, step: Tensor) -> None:
    """Add a step to the parameters, one after another."""
    at = 0
    for parameter in family.parameters():
        parameter += step[at : at + parameter.numel()].reshape(parameter.shape)
        at += parameter.numel()


class StochasticInference(VariationalInference):
    """Steps of a size that falls as Robbins and Monro ask, each by a batch that stands for all data (N/M scaling)."""

    def __init__(self, settings: StochasticConfig, start: Start) -> None:
        self._settings, self._target = settings, start.target
        self._family = gaussian_family(start, "stochastic variational inference")
        self._generator = torch.Generator().manual_seed(start.seed)
        self._steps = 0

    def density(self) -> Gaussian:
        return self._family.density().detached()

    def family(self) -> GaussianFamily:
        return self._family

    def step(self) -> None:
        settings, target = self._settings, self._target
        rho = settings.step_size(self._steps)
        self._steps += 1
        index = drawn_batch(target.n, settings.batch, self._generator)
        gradient, hessian = target.expected_derivatives(self.density(), index, self._generator)
        if settings.gradient == "natural":
            natural_step(self._family, gradient, hessian, rho, torch.ones_like(gradient, dtype=torch.bool))
        else:
            move(self._family, rho * ordinary_gradient(self._family, gradient, hessian))

    @torch.no_grad()
    def bound(self) -> float:
        q = self.density()
        return float(self._target.bound(q)) if self._target.conjugate else sampled_elbo(self._target, q)


@VI_METHODS.register("svi")
class StochasticConfig(MethodConfig):
    """Stochastic: steps by batches of the data, along the natural gradient or along the ordinary one."""

    kind: ClassVar[str] = "svi"
    count: ClassVar[str] = "batch"
    batch: int = Field(default=5, ge=0, le=MOST_SAMPLES, description="data points in a batch; 0 for all")
    gradient: Literal["natural", "ordinary"] = Field(default="natural", description="gradient: natural or ordinary")
    rate: float = Field(default=1.0, gt=0, le=MOST, description="size of the first step, at most 1 where natural")
    delay: float = Field(default=1.0, ge=0, le=MOST, description="delay tau of the step sizes")
    forgetting: float = Field(
        default=0.6, ge=0, le=1, description="forgetting rate kappa: above 0.5 the noise of batches averages out"
    )

    def step_size(self, t: int) -> float:
        """Return rho_t = rate ((1 + tau) / (t + 1 + tau))^kappa, t counted from 0 (Hoffman et al. 2013, eq. 26)."""
        rho = self.rate * ((1.0 + self.delay) / (t + 1.0 + self.delay)) ** self.forgetting
        return min(rho, 1.0) if self.gradient == "natural" else rho

    def begin(self, start: Start) -> StochasticInference:
        return StochasticInference(self, start)
