"""Bayesian linear regression: the linear-Gaussian model."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Gaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.vi.targets.base import TARGETS, TargetConfig, VITarget


class LinearGaussian(VITarget):
    """y_i = a_i' z + noise: p(y_i|z) = N(a_i' z, sigma^2), whose posterior is Gaussian.

    Its precision is P = I / s^2 + A'A / sigma^2 with s the prior's standard deviation, its mean P^-1 A'y / sigma^2.
    """

    conjugate: ClassVar[bool] = True

    def __init__(self, a: Float[Tensor, "N D"], y: Float[Tensor, " N"], sigma: float, prior_std: float) -> None:
        super().__init__(a.shape[1], len(a), prior_std)
        self.a, self.y, self.sigma = nn.Buffer(a), nn.Buffer(y), sigma

    def terms(self, z: Tensor) -> Tensor:
        residual = (self.y.to(z) - z @ self.a.to(z).T) / self.sigma
        return -0.5 * residual.square() - math.log(self.sigma) - 0.5 * math.log(2 * math.pi)

    def posterior(self) -> FullGaussian:
        """Return p(z|y) in closed form."""
        precision = torch.eye(self.latent_dim).to(self.a) / self.prior_std**2 + self.a.T @ self.a / self.sigma**2
        covariance = torch.linalg.inv(precision)
        m = covariance @ self.a.T @ self.y / self.sigma**2
        return FullGaussian(m[None], torch.linalg.cholesky(covariance)[None])

    def log_evidence(self) -> float:
        """Return log p(y) = log N(y; 0, s^2 A A' + sigma^2 I) in nats, in closed form."""
        covariance = self.prior_std**2 * self.a @ self.a.T + self.sigma**2 * torch.eye(self.n).to(self.a)
        return float(torch.distributions.MultivariateNormal(torch.zeros_like(self.y), covariance).log_prob(self.y))

    def expected_derivatives(
        self, q: Gaussian, index: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        index = torch.arange(self.n) if index is None else index
        a, y, scale = self.a[index], self.y[index], self.n / len(index) / self.sigma**2
        hessian = -torch.eye(self.latent_dim).to(a) / self.prior_std**2 - scale * a.T @ a
        return hessian @ q.mean[0] + scale * a.T @ y, hessian

    def bound(self, q: Gaussian) -> Tensor:
        # E_q[(y_i - a_i'z)^2] = (y_i - a_i'm)^2 + a_i' Sigma a_i
        spread = (self.a @ q.lower_factor()[0]).square().sum()
        return self.terms(q.mean).sum() - 0.5 * spread / self.sigma**2 - self.kl_to_prior(q)

    def data_vector(self) -> Tensor:
        return self.y

    def redrawn(self, generator: torch.Generator) -> LinearGaussian:
        z = float(self.prior_std) * torch.randn(self.latent_dim, generator=generator, dtype=torch.float64)
        y = self.a @ z + self.sigma * torch.randn(self.n, generator=generator, dtype=torch.float64)
        return LinearGaussian(self.a, y, self.sigma, float(self.prior_std))


@TARGETS.register("linear-gaussian")
class LinearGaussianConfig(TargetConfig):
    """Bayesian linear regression, whose posterior is a Gaussian that is known in closed form."""

    kind: ClassVar[str] = "linear-gaussian"
    method: ClassVar[str] = ""
    count: ClassVar[str] = "n"
    n: int = Field(default=20, ge=1, le=MOST_SAMPLES, description="number of observations")
    d: int = Field(default=2, ge=1, le=16, description="number of weights, the latents")
    correlation: float = Field(default=0.9, gt=-1, lt=1, description="correlation of neighbouring inputs")
    sigma: float = Field(default=1.0, ge=1e-3, le=MOST, description="standard deviation of the noise")
    prior_std: float = Field(default=2.0, ge=1e-3, le=1e3, description="standard deviation of the prior")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the data")

    def build(self) -> LinearGaussian:
        generator = torch.Generator().manual_seed(self.seed)
        power = (torch.arange(self.d)[:, None] - torch.arange(self.d)).abs()
        chol = torch.linalg.cholesky(torch.tensor(self.correlation, dtype=torch.float64) ** power)
        a = torch.randn(self.n, self.d, generator=generator, dtype=torch.float64) @ chol.T
        return LinearGaussian(a, torch.zeros(self.n, dtype=torch.float64), self.sigma, self.prior_std).redrawn(
            generator
        )
