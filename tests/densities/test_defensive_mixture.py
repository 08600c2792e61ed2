"""The defensive mixture against quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpvae_core.densities.defensive_mixture import DefensiveMixture
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from tests.oracles import kl_to_standard_normal


def test_a_detached_mixture_has_the_same_shares() -> None:
    chol = torch.tensor([[[0.3, 0.0], [0.2, 0.1]]])
    prior = DiagonalGaussian.standard(chol, 2)
    q = DefensiveMixture(torch.tensor([[-0.3, 0.4]]), chol, prior, share=0.3)
    z = torch.randn(20, 1, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(q.detached().log_prob(z), q.log_prob(z))


def test_mixture_density_moments_and_kl_by_quadrature() -> None:
    chol = torch.tensor([[[0.3, 0.0], [0.2, 0.1]]])
    encoder = DiagonalGaussian(torch.tensor([[1.0, -0.5]]), torch.tensor([[0.2, 0.4]]))
    q = DefensiveMixture(torch.tensor([[-0.3, 0.4]]), chol, encoder)
    axis = torch.linspace(-4, 4, 801)
    z = torch.cartesian_prod(axis, axis)[:, None]
    log_q = q.log_prob(z).double()
    mass = log_q.exp() * float(axis[1] - axis[0]) ** 2
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-4)
    mean = (mass[..., None] * z).sum(0)
    variance = (mass[..., None] * (z - mean).square()).sum(0)
    torch.testing.assert_close(q.mean.double(), mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.variance.double(), variance, atol=1e-4, rtol=1e-3)
    generator = torch.Generator().manual_seed(0)
    samples, log_prob = q.rsample_and_log_prob(20000, generator)
    torch.testing.assert_close(samples.mean(0), q.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(log_prob, q.log_prob(samples))
    log_prior = -0.5 * z.square().sum(-1) - np.log(2 * np.pi)
    expected = float((mass * (log_q - log_prior)).sum())
    estimates = torch.stack([kl_to_standard_normal(q, generator) for _ in range(100)])
    assert float(estimates.mean()) == pytest.approx(expected, abs=0.05)
