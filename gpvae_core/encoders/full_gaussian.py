"""A Gaussian posterior with full covariance, q(z|x) = N(m, L L'), kept by its Cholesky factor L."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior, Samples, Uncertainty


class CorrelatedGaussian(Posterior):
    """A Gaussian whose covariance is not diagonal."""

    @abstractmethod
    def lower_factor(self) -> Float[Tensor, "B D D"]:
        """L with covariance L L', lower triangular, its diagonal positive."""


class FullGaussian(CorrelatedGaussian):
    """N(m, L L') with L lower triangular, its diagonal positive."""

    def __init__(self, m: Float[Tensor, "B D"], chol: Float[Tensor, "B D D"]) -> None:
        self.m, self.chol = m, chol

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        eps = torch.randn((k, *self.m.shape), generator=generator, device=self.m.device, dtype=self.m.dtype)
        with torch.autocast(eps.device.type, enabled=False):  # a coarse product would belong to another density
            return self.m + (self.chol @ eps.unsqueeze(-1)).squeeze(-1), self._log_prob_of(eps)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        off = (z - self.m).unsqueeze(-1)
        return self._log_prob_of(torch.linalg.solve_triangular(self.chol, off, upper=False).squeeze(-1))

    def _log_prob_of(self, eps: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        d = eps.shape[-1]
        return -0.5 * eps.square().sum(-1) - self._half_log_det() - 0.5 * d * math.log(2 * math.pi)

    def _half_log_det(self) -> Float[Tensor, " B"]:
        return self.chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def lower_factor(self) -> Float[Tensor, "B D D"]:
        return self.chol

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.m

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.chol.square().sum(-1)

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """KL(q || N(0, I)) = (tr LL' + |m|^2 - D) / 2 - log det L, in closed form; needs no randomness."""
        d = self.m.shape[-1]
        return 0.5 * (self.variance.sum(-1) + self.m.square().sum(-1) - d) - self._half_log_det()

    def detached(self) -> FullGaussian:
        return FullGaussian(self.m.detach(), self.chol.detach())

    def base(self) -> Posterior:
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None
