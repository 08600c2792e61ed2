"""Gradients through the samples, z a function of noise and parameters."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.vi.gradients.base import GRADIENTS, Drawn, GradientConfig, flat_gradient


def _through_samples(draw: Drawn, q: Posterior) -> Tensor:
    """Return the gradient of the mean of log p(x, z) - log q(z) over samples z of the family."""

    def log_w(z: Tensor) -> Tensor:
        return draw.log_density(z) - q.log_prob(z.unsqueeze(1))[:, 0]

    return flat_gradient(draw.family.expectation(log_w, draw.k, draw.generator), draw.family)


@GRADIENTS.register("reparametrised")
class ReparametrisedConfig(GradientConfig):
    """Reparametrisation: the gradient goes through z(eps) (Kingma & Welling 2013; Ganguly et al. 2023, eq. 16)."""

    kind: ClassVar[str] = "reparametrised"

    def estimate(self, draw: Drawn) -> Tensor:
        return _through_samples(draw, draw.family.density())


@GRADIENTS.register("stl")
class StickingTheLandingConfig(GradientConfig):
    """Sticking the landing: through z(eps) alone, without variance where q is the posterior (Roeder et al. 2017)."""

    kind: ClassVar[str] = "stl"

    def estimate(self, draw: Drawn) -> Tensor:
        return _through_samples(draw, draw.family.density().detached())
