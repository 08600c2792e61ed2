"""The full Gaussian agrees with torch's."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.densities.full_gaussian import FullGaussian
from tests.oracles import kl_to_standard_normal


def gaussian() -> tuple[FullGaussian, MultivariateNormal]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
    chol = torch.linalg.cholesky(a @ a.mT + 0.1 * torch.eye(3))
    m = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return FullGaussian(m, chol), MultivariateNormal(m, scale_tril=chol)


def test_density_moments_and_kl() -> None:
    q, truth = gaussian()
    z, log_q = q.rsample_and_log_prob(50, torch.Generator().manual_seed(1))
    assert torch.allclose(log_q, truth.log_prob(z))
    assert torch.allclose(q.log_prob(z), truth.log_prob(z))
    assert torch.allclose(q.variance, truth.variance)
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    assert torch.allclose(kl_to_standard_normal(q), kl_divergence(truth, prior))
    assert q.base() is q
    assert q.uncertainty() is None


def test_samples_have_the_covariance() -> None:
    q, truth = gaussian()
    z, _ = q.rsample_and_log_prob(40_000, torch.Generator().manual_seed(1))
    white = torch.linalg.solve_triangular(q.chol, (z - q.m).unsqueeze(-1), upper=False).squeeze(-1)
    covariance = torch.einsum("kbi,kbj->bij", white, white) / len(white)
    assert torch.allclose(covariance, torch.eye(3).double().expand(5, 3, 3), atol=0.03)
    assert torch.allclose(q.detached().mean, truth.mean)
