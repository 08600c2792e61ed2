"""A model with another prior than N(0, I): all that a bound, a refiner and truth ask of it follows from `prior`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.training_bound import training_bound
from gpvae_core.truth.ais import AISSettings, ais
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.importance import iwae_log_px
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

ORACLE = LinearGaussianVAE.make(2, (1, 2, 2), sigma_x=0.4)
MEAN = torch.tensor([0.5, -1.0])
CHOL = torch.tensor([[0.7, 0.0], [0.5, 0.4]])


class Shifted(VAE):
    """p(z) = N(MEAN, CHOL CHOL')."""

    def prior(self, x: Tensor) -> Posterior:
        return FullGaussian(MEAN.to(x).expand(len(x), 2), CHOL.to(x).expand(len(x), 2, 2))


@pytest.fixture
def model() -> Shifted:
    plain = ORACLE.vae()
    return Shifted(plain.decoder, plain.likelihood, plain.encoder, 2, plain.event_shape).eval()


@pytest.fixture
def images() -> Tensor:
    return ORACLE.images(8)


def log_px(x: Tensor) -> Tensor:
    """log N(x; W MEAN + bias, W CHOL CHOL' W' + sigma_x^2 I)."""
    w, m = ORACLE.w @ CHOL.double(), ORACLE.w @ MEAN.double() + ORACLE.bias
    covariance = w @ w.T + ORACLE.sigma_x**2 * torch.eye(4, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(m, covariance).log_prob(x.flatten(1).double())


def test_the_best_full_gaussian_reaches_the_evidence(model: Shifted, images: Tensor) -> None:
    best = best_gaussians(model, images)
    torch.testing.assert_close(best.full_elbo.double(), log_px(images), atol=0.02, rtol=0)


def test_importance_sampling_and_annealing_find_the_evidence(model: Shifted, images: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(iwae_log_px(model, images, 100_000, generator), log_px(images), atol=0.1, rtol=0)
    estimate = ais(model, images, AISSettings(steps=40, chains=64), generator)
    torch.testing.assert_close(estimate.log_px, log_px(images), atol=0.2, rtol=0)


def test_svi_climbs_towards_the_evidence(model: Shifted, images: Tensor) -> None:
    refiner = parse_refiner("svi:60,covariance=full").build(FullyConnectedConfig(hidden=4), (1, 2, 2), 2)
    q = refiner(model, images, model.encoder(images))
    z, log_q = q.rsample_and_log_prob(4000, torch.Generator().manual_seed(1))
    elbo = (model.log_joint(images, z) - log_q).mean(0).detach().double()
    torch.testing.assert_close(elbo, log_px(images), atol=0.1, rtol=0)


def test_the_training_bound_is_the_elbo(model: Shifted, images: Tensor) -> None:
    bound = training_bound(model, images, 8, 100_000, torch.Generator().manual_seed(2))
    elbo = model.log_weights(images, 100_000, torch.Generator().manual_seed(3)).mean(0).detach()
    torch.testing.assert_close(bound.value, elbo, atol=0.1, rtol=0)
    assert bool((bound.value.double() < log_px(images) + 0.05).all())


def test_own_images_are_drawn_from_it(model: Shifted) -> None:
    z, _ = own_samples(model, torch.zeros(20_000, 1, 2, 2), torch.Generator().manual_seed(4))
    torch.testing.assert_close(z.mean(0), MEAN, atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), CHOL @ CHOL.T, atol=0.02, rtol=0)
    assert torch.allclose(model.log_prior(z), model.prior(z[:1]).log_prob(z[:, None])[:, 0])
