"""A model with another prior than N(0, I): all that a bound, a refiner and truth ask of it follows from `prior`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.defensive_mixture import DefensiveMixture
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.errors import UserError
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.laplace import Laplace
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.training_bound import training_bound
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.line_posterior import LinePosterior
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

MEAN = torch.tensor([0.5, -1.0, 0.8])
CHOL = torch.tensor([[0.7, 0.0, 0.0], [0.5, 0.4, 0.0], [-0.2, 0.3, 0.6]])


class Shifted(VAE):
    """p(z) = N(m, L L') with the first D entries of `MEAN` and `CHOL`, or with those given."""

    prior_mean, prior_chol = MEAN, CHOL

    def prior(self, x: Tensor) -> Posterior:
        d = self.latent_dim
        mean, chol = self.prior_mean[:d].to(x), self.prior_chol[:d, :d].to(x)
        return FullGaussian(mean.expand(len(x), d), chol.expand(len(x), d, d))


@dataclass(frozen=True)
class Oracle:
    """A linear-Gaussian model with a shifted prior, and images; p(x) and p(z|x) are known in closed form."""

    plain: LinearGaussianVAE
    mean: Tensor
    chol: Tensor

    @property
    def model(self) -> Shifted:
        vae = self.plain.vae()
        shifted = Shifted(vae.decoder, vae.likelihood, vae.encoder, self.plain.latent_dim, vae.event_shape).eval()
        shifted.prior_mean, shifted.prior_chol = self.mean, self.chol
        return shifted

    @property
    def images(self) -> Tensor:
        """Eight images around the one that the prior's mean decodes to."""
        shift = (self.plain.w @ self.mean.double()).float()
        return self.plain.images(8) + shift.reshape(self.plain.event_shape)

    @property
    def log_px(self) -> Tensor:
        """log N(x; W m + bias, W L L' W' + sigma_x^2 I)."""
        w, m = self.plain.w @ self.chol.double(), self.plain.w @ self.mean.double() + self.plain.bias
        covariance = w @ w.T + self.plain.sigma_x**2 * torch.eye(4, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(m, covariance).log_prob(self.images.flatten(1).double())

    @property
    def precision(self) -> Tensor:
        """P = (L L')^-1 + W'W / sigma_x^2, (D, D)."""
        return torch.cholesky_inverse(self.chol.double()) + self.plain.w.T @ self.plain.w / self.plain.sigma_x**2

    @property
    def posterior_mean(self) -> Tensor:
        """m + P^-1 W'(x - W m - bias) / sigma_x^2, (B, D)."""
        m, w = self.mean.double(), self.plain.w
        residual = self.images.flatten(1).double() - w @ m - self.plain.bias
        return m + torch.linalg.solve(self.precision, (residual @ w).T / self.plain.sigma_x**2).T


def oracle(d: int, mean: Tensor = MEAN, chol: Tensor = CHOL) -> Oracle:
    return Oracle(LinearGaussianVAE.make(d, (1, 2, 2), sigma_x=0.4), mean[:d], chol[:d, :d])


PLANE = oracle(2)


@pytest.fixture
def model() -> Shifted:
    return PLANE.model


@pytest.fixture
def images() -> Tensor:
    return PLANE.images


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_truth_is_the_closed_form_and_trusted(d: int) -> None:
    """By quadrature at d = 1 and 2, by annealing at d = 3."""
    exact = oracle(d)
    actual = truth_for(exact.model).log_px(exact.images)
    assert actual.exact == (d < 3)
    assert actual.trusted.all()
    error = np.abs(actual.log_px - exact.log_px.numpy())
    assert (error < (1e-4 if actual.se is None else 4 * actual.se)).all()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("name", ["ais", "iwae"])
def test_samplers_find_the_evidence(name: Literal["ais", "iwae"], d: int) -> None:
    exact = oracle(d)
    annealing = AISSettings(steps=40, chains=64)
    truth = truth_for(exact.model, TruthSettings(name=name, samples=100_000, annealing=annealing))
    actual = truth.log_px(exact.images)
    assert actual.trusted.all()
    torch.testing.assert_close(torch.from_numpy(actual.log_px), exact.log_px, atol=0.1, rtol=0)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("narrow", [1.0, 0.02])
def test_the_posterior_by_quadrature_has_the_closed_forms_moments(d: int, narrow: float) -> None:
    """Also where the prior is narrower than the grids for N(0, I) could resolve."""
    exact = oracle(d, narrow * MEAN, narrow * CHOL)
    variance = torch.linalg.inv(exact.precision).diagonal()
    for p, mean in zip(truth_for(exact.model).posterior(exact.images), exact.posterior_mean, strict=True):
        assert p.passed
        moments = (p.mean, p.variance) if isinstance(p, LinePosterior) else (p.mean, p.covariance.diagonal())
        actual_mean, actual_variance = (torch.tensor(m, dtype=torch.float64).reshape(d) for m in moments)
        torch.testing.assert_close(actual_mean, mean, atol=1e-3 * narrow, rtol=0)
        torch.testing.assert_close(actual_variance, variance, rtol=2e-3, atol=0)


def test_the_line_follows_a_prior_far_from_nought() -> None:
    exact = oracle(1, torch.tensor([40.0]))
    actual = truth_for(exact.model).log_px(exact.images)
    assert actual.trusted.all()
    torch.testing.assert_close(torch.from_numpy(actual.log_px), exact.log_px, atol=1e-4, rtol=1e-6)


def test_a_grid_refuses_a_prior_that_is_narrow_and_far_from_nought() -> None:
    with pytest.raises(UserError, match="wants a prior within 12 of its standard deviations of it, this one needs 64"):
        Atlas.build(oracle(2, torch.tensor([0.0, 6.0]), 0.1 * torch.eye(2)).model)


@torch.no_grad()
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_linearised_posterior_is_exact_for_a_linear_decoder(d: int) -> None:
    exact = oracle(d)
    x, vae = exact.images, exact.model
    refined = Laplace(1, 1.0)(vae, x, vae.encoder(x))
    torch.testing.assert_close(refined.mean.double(), exact.posterior_mean, atol=1e-5, rtol=0)
    variance = torch.linalg.inv(exact.precision).diagonal().expand(8, d)
    torch.testing.assert_close(refined.variance.double(), variance, rtol=1e-4, atol=0)


def test_a_prior_that_is_no_gaussian_is_refused_where_the_decoder_is_linearised() -> None:
    class TwoModes(Shifted):
        def prior(self, x: Tensor) -> Posterior:
            return DefensiveMixture(-torch.ones(len(x), 2), torch.eye(2).expand(len(x), 2, 2), super().prior(x))

    vae = PLANE.model
    vae.__class__ = TwoModes
    with pytest.raises(UserError, match="wants a Gaussian prior, got a DefensiveMixture"):
        Laplace(1, 1.0).check(vae)


def test_the_best_full_gaussian_reaches_the_evidence(model: Shifted, images: Tensor) -> None:
    best = best_gaussians(model, images)
    torch.testing.assert_close(best.full_elbo.double(), PLANE.log_px, atol=0.02, rtol=0)


def test_svi_climbs_towards_the_evidence(model: Shifted, images: Tensor) -> None:
    refiner = parse_refiner("svi:60,covariance=full").build(FullyConnectedConfig(hidden=4), (1, 2, 2), 2)
    q = refiner(model, images, model.encoder(images))
    z, log_q = q.rsample_and_log_prob(4000, torch.Generator().manual_seed(1))
    elbo = (model.log_joint(images, z) - log_q).mean(0).detach().double()
    torch.testing.assert_close(elbo, PLANE.log_px, atol=0.1, rtol=0)


def test_the_training_bound_is_the_elbo(model: Shifted, images: Tensor) -> None:
    bound = training_bound(model, images, 8, 100_000, torch.Generator().manual_seed(2))
    elbo = model.log_weights(images, 100_000, torch.Generator().manual_seed(3)).mean(0).detach()
    torch.testing.assert_close(bound.value, elbo, atol=0.1, rtol=0)
    assert bool((bound.value.double() < PLANE.log_px + 0.05).all())


def test_own_images_are_drawn_from_it(model: Shifted) -> None:
    z, _ = own_samples(model, torch.zeros(20_000, 1, 2, 2), torch.Generator().manual_seed(4))
    torch.testing.assert_close(z.mean(0), PLANE.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), PLANE.chol @ PLANE.chol.T, atol=0.02, rtol=0)
    assert torch.allclose(model.log_prior(z), model.prior(z[:1]).log_prob(z[:, None])[:, 0])
