"""A linear-Gaussian VAE, made of the package's own classes, whose every quantity is known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import Encoder
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.types import EventShape
from gpvae_core.vae import VAE


def kl_to_standard_normal(q: Posterior, generator: torch.Generator | None = None) -> Tensor:
    """KL(q || N(0, I)), (B,) nats."""
    return q.kl(DiagonalGaussian.standard(q.mean, q.mean.shape[-1]), generator)


class LinearEncoder(Encoder):
    """q(z|x) = N(A (x - bias) + shift, Diag(std)^2)."""

    def __init__(self, a: Tensor, bias: Tensor, shift: Tensor, std: Tensor) -> None:
        super().__init__()
        self.a, self.bias = nn.Buffer(a.float()), nn.Buffer(bias.float())
        self.shift, self.std = nn.Buffer(shift.float()), nn.Buffer(std.float())

    def forward(self, x: Tensor) -> DiagonalGaussian:
        m = (x.flatten(1) - self.bias) @ self.a.T + self.shift
        return DiagonalGaussian(m, self.std.expand_as(m))


@dataclass(frozen=True)
class LinearGaussianVAE:
    """p(z) = N(0, I), p(x|z) = N(W z + bias, sigma_x^2 I); everything in float64.

    The posterior is N(P^-1 W'(x - bias) / sigma_x^2, P^-1) with precision P = I + W'W / sigma_x^2.
    """

    w: Tensor
    bias: Tensor
    sigma_x: float
    event_shape: EventShape

    @staticmethod
    def make(latent_dim: int, event_shape: EventShape, sigma_x: float, seed: int = 0) -> LinearGaussianVAE:
        generator = torch.Generator().manual_seed(seed)
        pixels = math.prod(event_shape)
        w = 0.3 * torch.randn(pixels, latent_dim, generator=generator, dtype=torch.float64)
        bias = torch.full((pixels,), 0.5, dtype=torch.float64)
        return LinearGaussianVAE(w, bias, sigma_x, event_shape)

    @property
    def latent_dim(self) -> int:
        return self.w.shape[1]

    @property
    def precision(self) -> Tensor:
        """P (D, D)."""
        return torch.eye(self.latent_dim, dtype=torch.float64) + self.w.T @ self.w / self.sigma_x**2

    @property
    def regression(self) -> Tensor:
        """A (D, pixels) with posterior mean A (x - bias)."""
        return torch.linalg.solve(self.precision, self.w.T / self.sigma_x**2)

    def images(self, n: int, seed: int = 1) -> Tensor:
        """n draws of the model, (n, C, H, W) float32."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.latent_dim, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, len(self.bias), generator=generator, dtype=torch.float64)
        return (z @ self.w.T + self.bias + self.sigma_x * noise).float().reshape(n, *self.event_shape)

    def vae(self, shift: Tensor | None = None, std: Tensor | None = None) -> VAE:
        """As a VAE whose encoder is the best diagonal one, or off by `shift` (D,), or has another `std` (D,)."""
        linear = nn.Linear(self.latent_dim, len(self.bias))
        with torch.no_grad():
            linear.weight.copy_(self.w)
            linear.bias.copy_(self.bias)
        decoder = nn.Sequential(linear, nn.Unflatten(1, self.event_shape))
        zeros = torch.zeros(self.latent_dim, dtype=torch.float64)
        best_std = self.precision.diagonal().rsqrt()
        encoder = LinearEncoder(
            self.regression, self.bias, zeros if shift is None else shift, best_std if std is None else std
        )
        return VAE(
            decoder, GaussianLikelihood(self.sigma_x, learn=False), encoder, self.latent_dim, self.event_shape
        ).eval()

    def posterior_mean(self, x: Tensor) -> Tensor:
        """(B, D)."""
        return (x.flatten(1).double() - self.bias) @ self.regression.T

    @property
    def posterior_covariance(self) -> Tensor:
        """(D, D), the same for every x."""
        return torch.linalg.inv(self.precision)

    def log_px(self, x: Tensor) -> Tensor:
        """log N(x; bias, W W' + sigma_x^2 I), (B,) nats."""
        covariance = self.w @ self.w.T + self.sigma_x**2 * torch.eye(len(self.bias), dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1).double())

    def elbo(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        """log p(x) - KL(N(mean, covariance) || posterior) for mean (B, D) and covariance (D, D), (B,) nats."""
        q = torch.distributions.MultivariateNormal(mean.double(), covariance.double())
        p = torch.distributions.MultivariateNormal(self.posterior_mean(x), precision_matrix=self.precision)
        return self.log_px(x) - torch.distributions.kl_divergence(q, p)

    def best_diagonal_elbo(self, x: Tensor) -> Tensor:
        """ELBO of N(posterior mean, Diag(1 / diag P)), the best diagonal Gaussian, (B,) nats."""
        return self.elbo(x, self.posterior_mean(x), torch.diag(1.0 / self.precision.diagonal()))


def curved(sigma_x: float) -> VAE:
    """Return a random decoder of (1, 4, 4) with a tanh layer, whose posteriors are no Gaussians."""
    torch.manual_seed(3)
    first, second = nn.Linear(2, 16), nn.Linear(16, 16)
    nn.init.normal_(first.weight, std=3.0)
    nn.init.normal_(second.weight, std=0.5)
    decoder = nn.Sequential(first, nn.Tanh(), second, nn.Unflatten(1, (1, 4, 4)))
    encoder = LinearEncoder(torch.zeros(2, 16), torch.zeros(16), torch.zeros(2), torch.ones(2))
    return VAE(decoder, GaussianLikelihood(sigma_x, learn=False), encoder, 2, (1, 4, 4)).eval()
