"""The best Gaussian against closed forms: the linear-Gaussian model, and a posterior with two modes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.progress import Cancelled
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.vae import VAE
from tests.oracles import LinearEncoder, LinearGaussianVAE

SHAPE = (1, 2, 2)
MODEL = LinearGaussianVAE.make(3, SHAPE, sigma_x=0.3)


def constant_encoder(mean: list[float], std: float, pixels: int) -> LinearEncoder:
    """N(mean, std^2 I) for every image."""
    d = len(mean)
    return LinearEncoder(torch.zeros(d, pixels), torch.zeros(pixels), torch.tensor(mean), torch.full((d,), std))


def full_covariance(best: BestGaussians) -> Tensor:
    return best.full_chol @ best.full_chol.mT


@pytest.mark.parametrize(("shift", "std"), [(0.0, 0.2), (1.5, 1.0), (-3.0, 0.02)])
def test_bad_starts_reach_the_closed_form(shift: float, std: float) -> None:
    x = MODEL.images(6)
    vae = MODEL.vae(shift=torch.full((3,), shift), std=torch.full((3,), std))
    best = best_gaussians(vae, x)
    torch.testing.assert_close(best.diagonal_elbo.double(), MODEL.best_diagonal_elbo(x), atol=0.02, rtol=0)
    torch.testing.assert_close(best.full_elbo.double(), MODEL.log_px(x), atol=0.02, rtol=0)
    best_std = MODEL.precision.diagonal().rsqrt()
    marginal_std = MODEL.posterior_covariance.diagonal().sqrt()
    for mean in (best.diagonal_mean, best.full_mean):
        assert ((mean - MODEL.posterior_mean(x)) / marginal_std).abs().max() < 0.15
    assert (best.diagonal_std / best_std - 1).abs().max() < 0.1
    scale = marginal_std[:, None] * marginal_std
    assert ((full_covariance(best) - MODEL.posterior_covariance) / scale).abs().max() < 0.15


def test_ten_dimensions() -> None:
    model = LinearGaussianVAE.make(10, (1, 4, 4), sigma_x=0.3)
    x = model.images(2)
    best = best_gaussians(model.vae(shift=torch.full((10,), 1.0), std=torch.full((10,), 0.5)), x)
    torch.testing.assert_close(best.diagonal_elbo.double(), model.best_diagonal_elbo(x), atol=0.03, rtol=0)
    torch.testing.assert_close(best.full_elbo.double(), model.log_px(x), atol=0.03, rtol=0)


def test_the_model_tells_diagonal_from_full() -> None:
    """Otherwise the test above could not see that the covariance is free."""
    x = MODEL.images(6)
    assert (MODEL.log_px(x) - MODEL.best_diagonal_elbo(x)).min() > 0.1


def test_elbo_of_an_encoder_that_is_off_is_the_closed_form() -> None:
    x = MODEL.images(6)
    vae = MODEL.vae(shift=torch.full((3,), 0.3), std=torch.full((3,), 0.25))
    q = vae.encoder(x)
    expected = MODEL.elbo(x, q.mean, torch.diag(q.variance[0]))
    torch.testing.assert_close(best_gaussians(vae, x).encoder_elbo.double(), expected, atol=0.02, rtol=0)


def test_nothing_is_lost_where_the_encoder_is_best_already() -> None:
    """Orthogonal columns: the posterior is a diagonal Gaussian, and every ascent ends a little below it."""
    w = 0.5 * torch.eye(4, 3, dtype=torch.float64)
    model = LinearGaussianVAE(w, torch.full((4,), 0.5, dtype=torch.float64), 0.3, SHAPE)
    x = model.images(12)
    vae = model.vae()
    best = best_gaussians(vae, x)
    assert (best.full_elbo >= best.diagonal_elbo).all()
    assert (best.diagonal_elbo >= best.encoder_elbo).all()
    unimproved = best.diagonal_elbo == best.encoder_elbo
    assert unimproved.any()
    torch.testing.assert_close(best.diagonal_mean[unimproved], vae.encoder(x).mean[unimproved])
    torch.testing.assert_close(best.full_elbo.double(), model.log_px(x), atol=0.02, rtol=0)


class Parabola(nn.Module):
    """g(z) = (z_1^2 + 0.05 z_1, z_2): x = (1, 0) has two modes near z_1 = 1 and -1, the first a little better."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.stack([z[:, 0] ** 2 + 0.05 * z[:, 0], z[:, 1]], dim=1).reshape(-1, 1, 1, 2)


def parabola_elbo(m: np.ndarray, s: np.ndarray, sigma_x: float) -> float:
    """ELBO of N(m, Diag(s)^2) for x = (1, 0) from the moments of a Gaussian up to the fourth."""
    v = s**2
    second, third = m[0] ** 2 + v[0], m[0] ** 3 + 3 * m[0] * v[0]
    fourth = m[0] ** 4 + 6 * m[0] ** 2 * v[0] + 3 * v[0] ** 2
    g, g_square = second + 0.05 * m[0], fourth + 0.1 * third + 0.0025 * second
    square = 1 - 2 * g + g_square + m[1] ** 2 + v[1]
    kl = 0.5 * np.sum(v + m**2 - 1 - np.log(v))
    return float(-0.5 * square / sigma_x**2 - 2 * (math.log(sigma_x) + 0.5 * math.log(2 * math.pi)) - kl)


def parabola_vae(mean: list[float], sigma_x: float) -> VAE:
    return VAE(Parabola(), GaussianLikelihood(sigma_x, learn=False), constant_encoder(mean, 0.5, 2), 2, (1, 1, 2))


@pytest.mark.parametrize("start", [[-2.0, 1.0], [0.0, 0.0], [3.0, -1.0]])
def test_of_two_modes_the_better_one_is_covered(start: list[float]) -> None:
    sigma_x = 0.2

    def loss(theta: np.ndarray) -> float:
        return -parabola_elbo(theta[:2], np.exp(theta[2:]), sigma_x)

    optimum = min((minimize(loss, [m, 0, -2, -2], tol=1e-10) for m in (-1.0, 1.0)), key=lambda actual: actual.fun)
    x = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    best = best_gaussians(parabola_vae(start, sigma_x), x, starts=[torch.tensor([[-1.0, 0.0], [1.0, 0.0]])])
    assert float(best.diagonal_elbo[0]) == pytest.approx(-optimum.fun, abs=0.02)
    np.testing.assert_allclose(best.diagonal_mean[0].numpy(), optimum.x[:2], atol=0.02)
    np.testing.assert_allclose(best.diagonal_std[0].numpy(), np.exp(optimum.x[2:]), rtol=0.1)


class PlateauAndPeak(nn.Module):
    """g(z) is 0.84 on a disc with steep edges, and 1 at a peak elsewhere."""

    plateau, peak = (0.3, 0.2), (-1.8, -1.0)

    def forward(self, z: Tensor) -> Tensor:
        to_plateau, to_peak = ((z - torch.tensor(c)).square().sum(-1) for c in (self.plateau, self.peak))
        return (0.84 * torch.exp(-(to_plateau**4)) + torch.exp(-to_peak / (2 * 0.3**2))).reshape(-1, 1, 1, 1)


def elbo_by_hermite(vae: VAE, m: np.ndarray, s: np.ndarray) -> float:
    """ELBO of N(m, Diag(s)^2) for x = 1 by Gauss-Hermite quadrature with 60 x 60 nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = m + s * np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        value = vae.log_likelihood(torch.ones(1, 1, 1, 1), torch.from_numpy(z).float()[:, None])[:, 0].double().numpy()
    return float(
        np.outer(weights, weights).ravel() @ value / (2 * np.pi) - 0.5 * np.sum(s**2 + m**2 - 1 - 2 * np.log(s))
    )


@pytest.mark.parametrize("seed", range(3))
def test_of_two_starts_the_better_one_is_polished_though_few_samples_see_no_edges(seed: int) -> None:
    """On the plateau a Gaussian is limited by its tails, which the few samples of the short ascents do not have."""
    encoder = constant_encoder(list(PlateauAndPeak.plateau), 0.3, 1)
    vae = VAE(PlateauAndPeak(), GaussianLikelihood(0.05, learn=False), encoder, 2, (1, 1, 1))

    def loss(theta: np.ndarray) -> float:
        return -elbo_by_hermite(vae, theta[:2], np.exp(theta[2:]))

    starts = [(PlateauAndPeak.plateau, -1.2), (PlateauAndPeak.peak, -2.0)]
    on_plateau, on_peak = (
        -minimize(loss, [*c, log_s, log_s], method="Nelder-Mead", options={"maxiter": 400}).fun for c, log_s in starts
    )
    best = best_gaussians(vae, torch.ones(1, 1, 1, 1), seed)
    assert on_peak > on_plateau
    assert float(best.diagonal_elbo[0]) == pytest.approx(on_peak, abs=0.05)
    assert (best.diagonal_mean[0] - torch.tensor(PlateauAndPeak.peak)).abs().max() < 0.1


class Bump(nn.Module):
    """g(z) = exp(-|z - c|^2 / (2 0.1^2)): nothing leads to the peak from afar."""

    c = (2.5, -2.5)

    def forward(self, z: Tensor) -> Tensor:
        square = (z - torch.tensor(self.c)).square().sum(-1)
        return torch.exp(-square / (2 * 0.1**2)).reshape(-1, 1, 1, 1)


def test_the_callers_starts_are_used() -> None:
    vae = VAE(Bump(), GaussianLikelihood(0.05, learn=False), constant_encoder([0.0, 0.0], 1.0, 1), 2, (1, 1, 1))
    x = torch.ones(1, 1, 1, 1)
    without = best_gaussians(vae, x)
    with_starts = best_gaussians(vae, x, starts=[torch.tensor([Bump.c])])
    assert float(with_starts.diagonal_elbo[0]) > float(without.diagonal_elbo[0]) + 50
    assert (with_starts.diagonal_mean[0] - torch.tensor(Bump.c)).abs().max() < 0.1


def test_the_decoder_collects_no_gradients_and_no_grad_does_not_matter() -> None:
    x = MODEL.images(3)
    vae = MODEL.vae(shift=torch.full((3,), 1.0))
    assert all(p.requires_grad for p in vae.decoder.parameters())
    best = best_gaussians(vae, x)
    assert all(p.grad is None for p in vae.parameters())
    assert not best.full_elbo.requires_grad
    with torch.no_grad():
        inside = best_gaussians(vae.requires_grad_(False), x)
    assert torch.equal(inside.full_elbo, best.full_elbo)


def test_the_answer_depends_on_the_seed_but_not_on_the_batch() -> None:
    x = MODEL.images(5)
    vae = MODEL.vae(shift=torch.full((3,), 1.0))
    batch, alone = best_gaussians(vae, x, seed=3), best_gaussians(vae, x[2:3], seed=3)
    torch.testing.assert_close(alone.full_chol[0], batch.full_chol[2], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(alone.diagonal_elbo[0], batch.diagonal_elbo[2], atol=1e-3, rtol=1e-4)
    assert torch.equal(best_gaussians(vae, x, seed=3).full_mean, batch.full_mean)
    assert not torch.equal(best_gaussians(vae, x, seed=4).full_mean, batch.full_mean)


def test_progress_counts_and_can_cancel() -> None:
    calls: list[tuple[int, int, str]] = []

    def note(done: int, total: int, what: str) -> None:
        calls.append((done, total, what))

    best_gaussians(MODEL.vae(), MODEL.images(3), progress=note)
    assert calls[-1] == (3, 3, "best Gaussians")

    def cancel(done: int, total: int, what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        best_gaussians(MODEL.vae(), MODEL.images(3), progress=cancel)
