"""Coordinate ascent variational inference (Ganguly et al. 2023, Algorithm 1)."""

from __future__ import annotations

from typing import ClassVar

import torch

from gpvae_core.densities.base import Gaussian
from gpvae_core.errors import UserError
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference
from gpvae_core.vi.methods.natural import gaussian_family, natural_step


class CoordinateAscent(VariationalInference):
    """Updates each block of latents in turn to its best factor, given those of the others and all the data.

    A step is a pass over all blocks. Local latents, as the assignments of a mixture, are at their best before each.
    """

    def __init__(self, start: Start) -> None:
        if not start.target.conjugate:
            raise UserError(
                "coordinate ascent wants a target whose complete conditionals are Gaussian (linear-gaussian, "
                "bayesian-mixture)"
            )
        self._target, self._family = start.target, gaussian_family(start, "coordinate ascent")
        self._blocks = self._family.mask.unique(dim=0)
        self._generator = torch.Generator()

    def density(self) -> Gaussian:
        return self._family.density().detached()

    def family(self) -> GaussianFamily:
        return self._family

    @torch.no_grad()
    def step(self) -> None:
        for block in self._blocks.flip(0):
            gradient, hessian = self._target.expected_derivatives(self.density(), None, self._generator)
            natural_step(self._family, gradient, hessian, 1.0, block)

    @torch.no_grad()
    def bound(self) -> float:
        return float(self._target.bound(self.density()))


@VI_METHODS.register("cavi")
class CaviConfig(MethodConfig):
    """Coordinate ascent: each factor at its best given the others, in closed form, for conjugate targets."""

    kind: ClassVar[str] = "cavi"

    def begin(self, start: Start) -> CoordinateAscent:
        return CoordinateAscent(start)
