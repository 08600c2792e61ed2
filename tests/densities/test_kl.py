"""KL(q || p) to any prior p: closed forms against torch's, and samples against quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.densities.base import Gaussian, Posterior, log_standard_normal, sampled_kl
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian, is_diagonal_gaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.gp_posterior import FunctionMoments, GPPosterior
from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.densities.rotated_gaussian import RotatedGaussian

B, D = 4, 3


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(kind: str, seed: int) -> Gaussian:
    m, s, v, a = normal((B, D), seed), (0.4 * normal((B, D), seed + 1)).exp(), normal((2, B, D), seed + 2), seed + 3
    if kind == "diagonal":
        return DiagonalGaussian(m, s)
    if kind == "isotropic":
        return DiagonalGaussian(m, s[:, :1])
    if kind == "rotated":
        return RotatedGaussian(DiagonalGaussian(m, s), nn.functional.normalize(v, dim=-1))
    root = normal((B, D, D), a)
    return FullGaussian(m, torch.linalg.cholesky(root @ root.mT + 0.2 * torch.eye(D)))


KINDS = ["diagonal", "isotropic", "full", "rotated"]


def as_torch(q: Gaussian) -> MultivariateNormal:
    """From samples' own algebra: mean and L L'."""
    L = q.lower_factor()
    return MultivariateNormal(q.mean, L @ L.mT)


@pytest.mark.parametrize("prior", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_gaussian_to_every_gaussian_is_the_closed_form(kind: str, prior: str) -> None:
    q, p = gaussian(kind, 0), gaussian(prior, 10)
    expected = kl_divergence(as_torch(q), as_torch(p))
    assert float(expected.min()) > 0.3
    torch.testing.assert_close(q.kl(p), expected)
    torch.testing.assert_close(RefinedPosterior(q, p).kl(RefinedPosterior(p, q)), expected)
    torch.testing.assert_close(q.kl(q), torch.zeros(B).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gaussians_are_torchs(kind: str) -> None:
    q = gaussian(kind, 0)
    z, log_q = q.rsample_and_log_prob(50, torch.Generator().manual_seed(1))
    torch.testing.assert_close(log_q, as_torch(q).log_prob(z))
    torch.testing.assert_close(q.log_prob(z), log_q)
    torch.testing.assert_close(q.variance, as_torch(q).variance)
    torch.testing.assert_close(q.log_det(), 0.5 * torch.logdet(as_torch(q).covariance_matrix))
    L = q.lower_factor()
    torch.testing.assert_close(q.whiten(L), torch.eye(D).double().expand(B, D, D))
    assert (q.scale is None) == (kind in ("full", "rotated"))
    assert is_diagonal_gaussian(q) == (q.scale is not None)
    assert q.base() is q
    assert q.uncertainty() is None


@pytest.mark.parametrize("d", [1, 2, 5])
def test_to_n_0_i_nothing_is_rounded_that_the_plain_formulas_do_not_round(d: int) -> None:
    generator = torch.Generator().manual_seed(d)
    m, s = torch.randn((200, d), generator=generator), torch.rand((200, d), generator=generator) + 0.01
    prior = DiagonalGaussian.standard(m, d)
    assert torch.equal(DiagonalGaussian(m, s).kl(prior), 0.5 * (s.square() + m.square() - 1.0 - 2.0 * s.log()).sum(-1))
    chol = torch.randn((200, d, d), generator=generator).tril(-1) + torch.diag_embed(s)
    square = chol.square().sum(-1).sum(-1) + m.square().sum(-1)
    log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    assert torch.equal(FullGaussian(m, chol).kl(prior), 0.5 * (square - d) - log_det)
    z = torch.randn((7, 200, d), generator=generator)
    assert torch.equal(prior.log_prob(z), log_standard_normal(z))
    rotated = RotatedGaussian(DiagonalGaussian(m, s), nn.functional.normalize(z[:3], dim=-1))
    assert torch.equal(rotated.kl(prior), rotated.start.kl(prior))


def two_modes(d: int) -> GaussianMixture:
    """A prior that is no Gaussian."""
    m = torch.tensor([[-1.0], [1.5]], dtype=torch.float64).expand(2, d)
    s = torch.tensor([[0.6], [1.0]], dtype=torch.float64).expand(2, d)
    log_w = torch.tensor([0.3, 0.7], dtype=torch.float64).log()
    return GaussianMixture(log_w.expand(B, 2), m.expand(B, 2, d), s.expand(B, 2, d))


def on_a_grid(q: Posterior, prior: Posterior) -> Tensor:
    """KL(q || prior) in two dimensions by quadrature."""
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1).expand(-1, B, -1)
    log_q = q.log_prob(z)
    return (log_q.exp() * (log_q - prior.log_prob(z))).sum(0) * (axis[1] - axis[0]) ** 2


def mean_of_many(q: Posterior, prior: Posterior, n: int = 400) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([q.kl(prior, generator) for _ in range(n)]).mean(0)


@pytest.mark.parametrize("prior", ["full", "two modes"])
@pytest.mark.parametrize("family", ["diagonal", "mixture"])
def test_without_a_closed_form_the_kl_is_sampled(family: str, prior: str) -> None:
    """Two modes have none as a prior, and a mixture has none as q: each of its components has samples of its own."""
    m, s = normal((B, 2), 0), (0.3 * normal((B, 2), 1)).exp()
    p = two_modes(2) if prior == "two modes" else FullGaussian(m.flip(0), gaussian("full", 5).lower_factor()[:, :2, :2])
    q = DiagonalGaussian(m, s) if family == "diagonal" else two_modes(2)
    expected = on_a_grid(q, p)
    torch.testing.assert_close(mean_of_many(q, p), expected, atol=0.05, rtol=0.05)
    samples = q.rsample_and_log_prob(20_000, torch.Generator().manual_seed(2))
    torch.testing.assert_close(q.kl(two_modes(2), samples=samples), sampled_kl(samples, two_modes(2)))
    torch.testing.assert_close(sampled_kl(samples, p), expected, atol=0.05, rtol=0.05)


def random_functions(closed: bool = True) -> GPPosterior:
    parts = [normal((B, D), seed) for seed in range(6)]
    b, c, f_mean, f_var, h_mean, h_var = parts
    moments = FunctionMoments(b, c.exp(), 0.3 * f_mean, 0.2 * f_var.exp(), 0.1 * h_mean, 0.02 * h_var.exp())
    return GPPosterior(moments, "closed_form" if closed else "monte_carlo", 50)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("prior", [*KINDS, "two modes"])
def test_eq_16_to_any_prior_is_the_average_kl_of_sampled_encoders(prior: str, closed: bool) -> None:
    """f, h and z are drawn; given f and h, q is a diagonal Gaussian with an entropy in closed form."""
    p = two_modes(D) if prior == "two modes" else gaussian(prior, 10)
    q, n = random_functions(closed), 40_000
    a = q.moments
    f = a.f_mean + a.f_var.sqrt() * normal((n, B, D), 20)
    h = a.h_mean + a.h_var.sqrt() * normal((n, B, D), 21)
    mean, std = a.b + f, (a.c + h).abs()
    z = mean + std * normal((n, B, D), 22)
    entropy = torch.distributions.Normal(mean, std).entropy().sum(-1)
    each = -entropy - p.log_prob(z)
    error = each.std(0) / math.sqrt(n)
    assert float(error.max()) < 0.01 * float(each.mean(0).abs().max())
    own = mean_of_many(q, p, 2000 if prior == "two modes" else 200)
    assert torch.all((own - each.mean(0)).abs() < 4 * error + 0.05)


def test_as_a_prior_the_marginalised_encoder_is_its_gaussian() -> None:
    p, q = random_functions(), gaussian("full", 0)
    expected = kl_divergence(as_torch(q), MultivariateNormal(p.mean, torch.diag_embed(p.variance)))
    torch.testing.assert_close(q.kl(p), expected)


def test_a_density_that_is_diagonal_in_effect_is_found_out() -> None:
    m, s = normal((B, D), 0), normal((B, D), 1).exp()
    assert is_diagonal_gaussian(FullGaussian(m, torch.diag_embed(s)))
    assert is_diagonal_gaussian(GaussianMixture(torch.zeros(B, 1).double(), m[:, None], s[:, None]))
    assert is_diagonal_gaussian(random_functions())
    assert not is_diagonal_gaussian(two_modes(D))
