"""The encoder with full covariance against torch's multivariate normal, a linear-Gaussian truth, and the VAE."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.data.base import DataConfig, load
from gpvae_core.encoders.full_covariance import FullCovarianceConfig, FullCovarianceEncoder
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.errors import UserError
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.training_bound import training_bound
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE, kl_to_standard_normal

SHAPE, D = (1, 8, 8), 5
NET = FullyConnectedConfig(hidden=24)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


def encoder() -> FullCovarianceEncoder:
    """One whose correlations matter."""
    torch.manual_seed(0)
    full = FullCovarianceConfig().build(NET, SHAPE, D)
    nn.init.normal_(full.below.weight, std=1.5)
    return full


@torch.no_grad()
def test_density_and_kl_are_those_of_torchs_multivariate_normal() -> None:
    q = encoder()(digits(6))
    chol = q.chol.double()
    expected = torch.distributions.MultivariateNormal(q.mean.double(), chol @ chol.mT)
    assert float((expected.covariance_matrix.tril(-1)).abs().amax()) > 0.3
    z, log_q = q.rsample_and_log_prob(9, torch.Generator().manual_seed(1))
    assert torch.allclose(log_q.double(), expected.log_prob(z.double()), atol=1e-4)
    prior = torch.distributions.MultivariateNormal(torch.zeros(D).double(), torch.eye(D).double())
    assert torch.allclose(
        kl_to_standard_normal(q).double(), torch.distributions.kl_divergence(expected, prior), rtol=1e-4
    )


@torch.no_grad()
def test_the_covariance_of_its_samples_is_l_times_l() -> None:
    q = encoder()(digits(3))
    z, _ = q.rsample_and_log_prob(60_000, torch.Generator().manual_seed(2))
    for i, actual in enumerate(z.unbind(1)):
        expected = q.chol[i] @ q.chol[i].T
        scale = expected.diagonal().sqrt()
        assert torch.allclose(
            torch.cov(actual.T) / scale / scale[:, None], expected / scale / scale[:, None], atol=0.03
        )


def test_it_learns_a_posterior_that_no_diagonal_gaussian_reaches() -> None:
    """On a linear-Gaussian model training comes close to log p(x), closer than the best diagonal Gaussian can."""
    truth = LinearGaussianVAE.make(2, (1, 4, 4), 0.5, seed=3)
    w = truth.w.clone()
    w[:, 1] = 0.9 * w[:, 0] + 0.3 * w[:, 1]
    truth = LinearGaussianVAE(3 * w, truth.bias, truth.sigma_x, truth.event_shape)
    linear, x = truth.vae(), truth.images(64)
    torch.manual_seed(0)
    full = FullCovarianceConfig().build(FullyConnectedConfig(hidden=32, depth=1), truth.event_shape, 2)
    vae = VAE(linear.decoder, linear.likelihood, full, 2, truth.event_shape)
    vae.decoder.requires_grad_(False)
    optimizer, generator = torch.optim.Adam(full.parameters(), lr=2e-2), torch.Generator().manual_seed(0)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 2e-2 * (1 - step / 300)
        optimizer.zero_grad()
        (-training_bound(vae, x, 64, 4, generator).surrogate).backward()
        optimizer.step()
    with torch.no_grad():
        q = full(x)
        elbo = torch.cat([truth.elbo(x[i : i + 1], q.mean[i : i + 1], q.chol[i] @ q.chol[i].T) for i in range(64)])
    best_diagonal, log_px = truth.best_diagonal_elbo(x).mean(), truth.log_px(x).mean()
    assert float(log_px - best_diagonal) > 0.3
    assert float(log_px - elbo.mean()) < 0.5 * float(log_px - best_diagonal)


@torch.no_grad()
def test_it_starts_from_a_vae() -> None:
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, D), digits(8)
    full = FullCovarianceConfig().build(NET, SHAPE, D)
    full.start_from(plain)
    assert torch.equal(full(x).mean, plain(x).mean)
    assert torch.allclose(full(x).variance, plain(x).variance, rtol=1e-2)
    again = encoder()
    again.start_from(full)
    assert torch.equal(again(x).chol, full(x).chol)


def test_one_dimension_and_a_stranger_are_refused() -> None:
    with pytest.raises(UserError, match="at least 2 latent dimensions, got 1"):
        FullCovarianceConfig().build(NET, SHAPE, 1)
    plain = GaussianEncoderConfig().build(NET, SHAPE, D)
    with pytest.raises(UserError, match="vae"):
        plain.start_from(encoder())
