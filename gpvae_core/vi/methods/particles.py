"""Stein variational gradient descent (Liu & Wang 2016)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.vi.divergences.stein import posterior_score
from gpvae_core.vi.gradients.base import drawn_batch
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference


def median_width(z: Float[Tensor, "K D"]) -> float:
    """Return h of k = exp(-|z - z'|^2 / (2 h^2)) by the median heuristic: the others' kernels add up to about one."""
    square = torch.pdist(z).square()
    median = float(square.median()) if len(square) else 1.0
    return math.sqrt(max(0.5 * median / math.log(len(z) + 1.0), 1e-12))


def stein_direction(z: Float[Tensor, "K D"], score: Float[Tensor, "K D"], width: float) -> Float[Tensor, "K D"]:
    """Return phi(z_i) = 1/K sum_j k(z_j, z_i) s_j + grad_j k(z_j, z_i), the steepest descent of KL(q || p) (eq. 8).

    The first term draws particles to where the density is high, the second drives them apart.
    """
    difference = (z.unsqueeze(1) - z.unsqueeze(0)) / width**2
    k = (-0.5 * width**2 * difference.square().sum(-1)).exp()
    return (k @ score + (k.unsqueeze(-1) * difference).sum(1)) / len(z)


class SteinParticles(VariationalInference):
    """K particles that move together along the Stein direction."""

    def __init__(self, settings: ParticlesConfig, start: Start) -> None:
        self._settings, self._target = settings, start.target
        self._generator = torch.Generator().manual_seed(start.seed)
        noise = torch.randn(settings.particles, len(start.m), generator=self._generator, dtype=torch.float64)
        self._z = start.m + start.sd * noise
        self._optimizer = torch.optim.Adam([self._z], lr=settings.rate, maximize=True)

    def density(self) -> None:
        return None

    def particles(self) -> Tensor:
        return self._z.detach().clone()

    def step(self) -> None:
        index = drawn_batch(self._target.n, self._settings.batch, self._generator)
        score = posterior_score(lambda z: self._target.log_density(z, index), self._z)
        self._z.grad = stein_direction(self._z, score, self._settings.width or median_width(self._z))
        self._optimizer.step()


@VI_METHODS.register("stein-particles")
class ParticlesConfig(MethodConfig):
    """Stein variational gradient descent: particles without a family, drawn to the mass and driven apart."""

    kind: ClassVar[str] = "stein-particles"
    count: ClassVar[str] = "particles"
    takes_family: ClassVar[bool] = False
    particles: int = Field(default=50, ge=2, le=2000, description="number of particles")
    width: float = Field(default=0.0, ge=0, le=MOST, description="width h of the kernel; 0 for the median heuristic")
    batch: int = Field(default=0, ge=0, le=MOST_SAMPLES, description="data points in a batch; 0 for all")
    rate: float = Field(default=0.1, gt=0, le=MOST, description="step size of Adam")

    def begin(self, start: Start) -> SteinParticles:
        return SteinParticles(self, start)
