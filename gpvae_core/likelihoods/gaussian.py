"""The Gaussian likelihood with one scale sigma_x, fixed or learned (Kim & Pavlovic 2021, eq. 1)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodConfig, LikelihoodTable
from gpvae_core.part import MOST


class DistanceTable(LikelihoodTable):
    """Evaluates log N(x; g_i, sigma_x^2 I) by one matrix product: |x-g|^2 = |x-c|^2 - 2 (x-c)'(g-c) + |g-c|^2.

    c is the mean decoder output; without it the three terms nearly cancel, with errors of 0.1 nats in float32. The
    other terms are computed in float64, and in numpy, as starting torch's threads costs more than so few numbers take.
    """

    def __init__(self, g: Float[Tensor, "G C H W"], sigma_x: float) -> None:
        self._c = g.mean(0).flatten()
        self._g = g.flatten(1).sub_(self._c)
        self._precision = sigma_x**-2
        # In parts, as a float64 copy of all decoder outputs would double the memory.
        g_square = torch.cat([part.cpu().double().square().sum(1) for part in self._g.split(4096)]).numpy()
        log_scale = math.log(sigma_x) + 0.5 * math.log(2 * math.pi)
        self._offset = -0.5 * self._precision * g_square - self._g.shape[1] * log_scale

    def log_prob(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B G"]:
        centred = x.to(self._g).flatten(1) - self._c
        cross = (centred @ self._g.T).cpu().numpy()
        log_p = np.multiply(cross, self._precision, dtype=np.float64)
        log_p += self._offset
        log_p -= 0.5 * self._precision * centred.cpu().double().square().sum(1, keepdim=True).numpy()
        return torch.from_numpy(log_p)


class GaussianLikelihood(Likelihood):
    """Gaussian likelihood N(x; g, sigma_x^2 I), parametrised by log sigma_x."""

    def __init__(self, sigma_x: float, learn: bool) -> None:
        super().__init__()
        self.log_sigma_x = nn.Parameter(torch.tensor(math.log(sigma_x)), requires_grad=learn)

    @property
    def sigma_x(self) -> Float[Tensor, ""]:
        """Scale of the pixel noise, a standard deviation in the units of x."""
        return self.log_sigma_x.exp()

    def log_prob(
        self,
        x: Float[Tensor, "*#batch C H W"],
        g: Float[Tensor, "*#batch C H W"],
        observed: Bool[Tensor, "*#batch 1 H W"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        # log N(x; g, sigma_x^2 I) = -|x - g|^2 / (2 sigma_x^2) - P (log sigma_x + 1/2 log(2 pi)) for P pixels
        square, pixels = (x - g).square(), math.prod(g.shape[-3:])
        if observed is not None:
            square = torch.where(observed, square, 0.0)
            pixels = g.shape[-3] * observed.sum(dim=(-3, -2, -1))
        square = square.sum(dim=(-3, -2, -1))
        log_scale = self.log_sigma_x + 0.5 * math.log(2 * math.pi)
        return -0.5 * square * torch.exp(-2 * self.log_sigma_x) - pixels * log_scale

    def kl(self, g: Float[Tensor, "*#batch C H W"], other: Float[Tensor, "*#batch C H W"]) -> Float[Tensor, "*batch"]:
        """Return KL(p(x|g) || p(x|other)) = |g - other|^2 / (2 sigma_x^2) in nats."""
        return 0.5 * (g - other).square().sum(dim=(-3, -2, -1)) * torch.exp(-2 * self.log_sigma_x)

    @torch.no_grad()
    def grid_table(self, g: Float[Tensor, "G C H W"]) -> DistanceTable:
        return DistanceTable(g, self.noise_scale())

    def mean(self, g: Tensor) -> Tensor:
        return g

    @torch.no_grad()
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return g + self.sigma_x * torch.randn(g.shape, generator=generator, device=g.device, dtype=g.dtype)

    def noise_scale(self) -> float:
        return float(self.sigma_x.detach())


@LIKELIHOODS.register("gaussian")
class GaussianConfig(LikelihoodConfig):
    """Gaussian likelihood with one scale sigma_x for all pixels, learned or fixed."""

    kind: ClassVar[str] = "gaussian"
    sigma_x: float = Field(
        default=0.2, gt=0, le=MOST, description="scale of the pixel noise; its initial value if it is learned"
    )
    learn_sigma_x: bool = Field(default=True, description="learn sigma_x with the decoder (False keeps it fixed)")

    def build(self) -> GaussianLikelihood:
        return GaussianLikelihood(self.sigma_x, self.learn_sigma_x)
