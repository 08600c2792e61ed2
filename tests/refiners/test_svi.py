"""SVI reaches the known optima of a linear-Gaussian model from a bad encoder."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.errors import UserError
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.base import Refiner
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 4, 4)


def build(text: str, d: int) -> Refiner:
    return parse_refiner(text).build(FullyConnectedConfig(), SHAPE, d)


def bad_encoder(oracle: LinearGaussianVAE) -> VAE:
    """Off by three standard deviations, and too narrow or too wide by a factor of three."""
    std = oracle.precision.diagonal().rsqrt()
    d = oracle.latent_dim
    wrong = torch.where(torch.arange(d) % 2 == 0, 3.0, 1 / 3)
    return oracle.vae(shift=3 * std, std=wrong * std)


@torch.no_grad()
@pytest.mark.parametrize("d", [1, 2, 4])
def test_diagonal_svi_reaches_the_best_diagonal_gaussian(d: int) -> None:
    oracle = LinearGaussianVAE.make(d, SHAPE, sigma_x=0.3)
    vae, x = bad_encoder(oracle), oracle.images(6)
    q = build("svi:150", d)(vae, x, vae.encoder(x))
    std = oracle.precision.diagonal().rsqrt()
    assert torch.allclose(q.variance.sqrt().double() / std, torch.ones(6, d).double(), atol=1e-3)
    assert torch.all((q.mean - oracle.posterior_mean(x)).abs() < 2e-3 * std)
    actual = oracle.elbo(x, q.mean, torch.diag(q.variance[0]))
    assert torch.allclose(actual, oracle.best_diagonal_elbo(x), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("d", [2, 4])
def test_full_svi_reaches_the_posterior(d: int) -> None:
    oracle = LinearGaussianVAE.make(d, SHAPE, sigma_x=0.3)
    oracle = replace(oracle, w=oracle.w + 0.6 * oracle.w[:, :1])  # correlates the latent dimensions
    vae, x = bad_encoder(oracle), oracle.images(6)
    q = build("svi:150,covariance=full", d)(vae, x, vae.encoder(x))
    assert isinstance(q, RefinedPosterior)
    assert isinstance(q.refined, FullGaussian)
    covariance = q.refined.chol @ q.refined.chol.mT
    assert torch.allclose(covariance[0].double(), oracle.posterior_covariance, rtol=1e-2, atol=1e-5)
    actual = oracle.elbo(x, q.mean, covariance[0])
    assert torch.allclose(actual, oracle.log_px(x), atol=1e-3)
    assert torch.all(oracle.best_diagonal_elbo(x) < oracle.log_px(x) - 0.05)


@torch.no_grad()
def test_each_step_climbs() -> None:
    oracle = LinearGaussianVAE.make(2, SHAPE, sigma_x=0.3)
    vae, x = bad_encoder(oracle), oracle.images(4)
    path = build("svi:12,momentum=0", 2).path(vae, x, vae.encoder(x))
    levels = torch.stack(
        [
            torch.stack([oracle.elbo(x[i : i + 1], q.mean[i : i + 1], torch.diag(q.variance[i])) for i in range(4)])
            for q in path
        ]
    )
    assert torch.all(levels[1:] > levels[:-1])


@torch.no_grad()
def test_momentum_and_clip_are_what_they_say() -> None:
    """One step in standard deviations has length step_size times the clipped norm; the second adds momentum."""
    oracle = LinearGaussianVAE.make(1, SHAPE, sigma_x=0.3)
    vae, x = oracle.vae(shift=torch.full((1,), 50.0)), oracle.images(3)
    q = vae.encoder(x)
    path = build("svi:2,clip=2,momentum=0.5,step_size=0.1", 1).path(vae, x, q)
    moves = [
        torch.cat([(b.mean - a.mean) / a.variance.sqrt(), 0.5 * (b.variance / a.variance).log()], 1)
        for a, b in pairwise(path)
    ]
    first, second = (move.norm(dim=1) for move in moves)
    assert torch.allclose(first, torch.full((3,), 0.2), atol=1e-4)
    assert torch.allclose(second, torch.full((3,), 0.3), atol=1e-2)


def test_svi_is_for_test_time_and_wrong_settings_are_one_line() -> None:
    with pytest.raises(UserError, match="unknown method 'svi'"):
        make_config("svi:4", DataConfig(name="digits"), (1, 8, 8))
    with pytest.raises(UserError, match=r"setting 'step_size'.*greater than 0"):
        parse_refiner("svi:4,step_size=0")
    with pytest.raises(UserError, match="setting 'covariance'"):
        parse_refiner("svi:4,covariance=round")
