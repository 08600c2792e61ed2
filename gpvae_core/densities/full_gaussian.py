"""The Gaussian with full covariance, N(m, L L'), parametrised by its Cholesky factor L."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Samples


class FullGaussian(Gaussian):
    """Full Gaussian N(m, L L') with L lower triangular and a positive diagonal.

    >>> q = FullGaussian(torch.zeros(1, 2), torch.tensor([[[1.0, 0.0], [0.6, 0.8]]]))
    >>> q.variance
    tensor([[1., 1.]])
    """

    def __init__(self, m: Float[Tensor, "B D"], chol: Float[Tensor, "B D D"]) -> None:
        self.m, self.chol = m, chol

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        eps = torch.randn((k, *self.m.shape), generator=generator, device=self.m.device, dtype=self.m.dtype)
        # NOTE: with the product in half precision the samples would not have the density log q.
        with torch.autocast(eps.device.type, enabled=False):
            return self.m + (self.chol @ eps.unsqueeze(-1)).squeeze(-1), self._log_prob_of_noise(eps)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        deviation = (z - self.m).unsqueeze(-1)
        return self._log_prob_of_noise(torch.linalg.solve_triangular(self.chol, deviation, upper=False).squeeze(-1))

    def _log_prob_of_noise(self, eps: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log q(m + L eps) = log N(eps; 0, I) - log det L in nats."""
        d = eps.shape[-1]
        return -0.5 * eps.square().sum(-1) - self.log_det() - 0.5 * d * math.log(2 * math.pi)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.m

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        # Sigma_ii = sum_j L_ij^2
        return self.chol.square().sum(-1)

    @property
    def scale(self) -> None:
        return None

    def lower_factor(self) -> Float[Tensor, "B D D"]:
        return self.chol

    def log_det(self) -> Float[Tensor, " B"]:
        return self.chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def whiten(self, columns: Float[Tensor, "B D C"]) -> Float[Tensor, "B D C"]:
        return torch.linalg.solve_triangular(self.chol, columns, upper=False)

    def kl_to(self, p: Gaussian) -> Float[Tensor, " B"]:
        return p.kl_from(self.m, self.chol, self.log_det())

    def detached(self) -> FullGaussian:
        return FullGaussian(self.m.detach(), self.chol.detach())
