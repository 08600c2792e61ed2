"""A one-dimensional model and a posterior whose samples are given: expectations of estimators become quadratures."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior, Samples, sampled_kl
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.vae import VAE
from tests.oracles import LinearEncoder

SHAPE = (1, 1, 2)
X = torch.tensor([0.9, -0.4], dtype=torch.float64)


class NodeGaussian(Posterior):
    """N(m, s^2) for one latent dimension, whose 'samples' are m + s eps at the given eps (K, B).

    Like a family whose moments are sampled, it gives mean and variance without a gradient.
    """

    def __init__(self, m: Tensor, s: Tensor, eps: Tensor) -> None:
        self.eps = eps.unsqueeze(-1)
        self.gaussian = DiagonalGaussian(m.expand(self.eps.shape[1:]), s.expand(self.eps.shape[1:]))

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        assert k == len(self.eps)
        z = self.gaussian.m + self.gaussian.s * self.eps
        return z, self.gaussian.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.gaussian.log_prob(z)

    @property
    def mean(self) -> Tensor:
        return self.gaussian.mean.detach()

    @property
    def variance(self) -> Tensor:
        return self.gaussian.variance.detach()

    def kl(self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None) -> Tensor:
        assert samples is not None
        return sampled_kl(samples, prior)

    def detached(self) -> Posterior:
        return self.gaussian.detached()


def model() -> VAE:
    """x = (1.1 z + 0.2, -0.6 z - 0.1) + noise of scale 0.7, in float64."""
    linear = nn.Linear(1, 2, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.1], [-0.6]], dtype=torch.float64))
        linear.bias.copy_(torch.tensor([0.2, -0.1], dtype=torch.float64))
    one = torch.ones(1)
    encoder = LinearEncoder(torch.zeros(1, 2), torch.zeros(2), 0 * one, one)
    decoder = nn.Sequential(linear, nn.Unflatten(1, SHAPE))
    likelihood = GaussianLikelihood(0.7, learn=False).double()
    likelihood.log_sigma_x.data.fill_(math.log(0.7))
    return VAE(decoder, likelihood, encoder, 1, SHAPE)


def posterior(vae: VAE) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of p(z|x) for x = X."""
    w, bias = (p.detach().flatten() for p in vae.decoder.parameters())
    precision = 1.0 + float(w @ w) / 0.49
    return (w @ (X - bias) / 0.49 / precision).view(1), torch.tensor([precision**-0.5], dtype=torch.float64)


def log_evidence(vae: VAE) -> float:
    w, bias = (p.detach().flatten() for p in vae.decoder.parameters())
    covariance = torch.outer(w, w) + 0.49 * torch.eye(2, dtype=torch.float64)
    return float(torch.distributions.MultivariateNormal(bias, covariance).log_prob(X))


def images(b: int) -> Tensor:
    return X.view(1, *SHAPE).expand(b, *SHAPE)


def hermite(k: int, nodes: int) -> tuple[Tensor, Tensor]:
    """eps (k, nodes^k) and weights (nodes^k): E[f(eps_1, ..., eps_k)] = sum of weights times f."""
    at, weight = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(nodes))
    weight = weight / math.sqrt(2 * math.pi)
    eps = torch.cartesian_prod(*[at] * k).view(-1, k).T
    return eps, torch.cartesian_prod(*[weight] * k).view(-1, k).prod(1)
