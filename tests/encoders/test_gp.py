"""The GP encoder against brute force: sampled W and U, quadrature, finite differences, and the VAE it contains."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpvae_core.bench.inference import loop_over_dimensions
from gpvae_core.bounds import elbo
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import Encoder
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.gp import GPEncoder, GPEncoderConfig
from gpvae_core.gp.log_square import expected_log_square
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.training_bound import training_bound
from gpvae_core.vae import VAE
from tests.derivatives import directional
from tests.oracles import kl_to_standard_normal

SHAPE, D = (1, 8, 8), 3
NET = FullyConnectedConfig(hidden=24)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


def encoder(**settings: object) -> GPEncoder:
    """A GP encoder whose q(W,U) matters: dense factors, means away from zero."""
    torch.manual_seed(1)
    gp = GPEncoderConfig.model_validate(settings).build(NET, SHAPE, D)
    for weights in (gp.w, gp.u):
        p = weights.mu.shape[1]
        weights.set_cholesky(torch.randn(D, p, p).tril(-1) * 0.1 + 0.3 * torch.eye(p))
        torch.nn.init.normal_(weights.mu, std=0.3)
    return gp


def model(of: Encoder) -> VAE:
    torch.manual_seed(2)
    return VAE(NET.decoder(D, SHAPE), GaussianConfig().build(), of, D, SHAPE)


def sampled_functions(gp: GPEncoder, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """b + W psi_m and c + U psi_s for n draws of W, U ~ q (eq. 9), each (n, B, D)."""
    generator = torch.Generator().manual_seed(3)
    b, c = gp.base(x)

    def draw(weights: object, psi: Tensor) -> Tensor:
        eps = torch.randn((n, *gp.w.mu.shape), generator=generator)
        rows = weights.mu + torch.einsum("dpq,ndq->ndp", weights.cholesky(), eps)  # pyright: ignore
        return torch.einsum("bp,ndp->nbd", psi, rows)

    return b + draw(gp.w, gp.psi_m(x)), c + draw(gp.u, gp.psi_s(x))


@torch.no_grad()
def test_eq_13_is_the_moment_of_sampled_encoders() -> None:
    gp, x = encoder(), digits(4)
    mean, deviation = sampled_functions(gp, x, 60_000)
    z = mean + deviation * torch.randn(mean.shape, generator=torch.Generator().manual_seed(4))
    q = gp(x)
    assert torch.allclose(z.mean(0), q.mean, atol=0.03)
    assert torch.allclose(z.var(0) / q.variance, torch.ones(4, D), atol=0.03)


@torch.no_grad()
def test_eq_13_as_shipped_is_the_loop_over_dimensions() -> None:
    gp, x = encoder(), digits(16)
    m, v = loop_over_dimensions(gp, x)
    q = gp(x)
    assert torch.allclose(q.mean, m, rtol=1e-4, atol=1e-5)
    assert torch.allclose(q.variance, v, rtol=1e-4)


@torch.no_grad()
def test_eq_16_is_the_average_kl_of_sampled_encoders() -> None:
    x = digits(4)
    gp = encoder(expected_kl="closed_form")
    mean, deviation = sampled_functions(gp, x, 60_000)
    kl = 0.5 * (deviation.square() + mean.square() - 1 - deviation.square().log()).sum(-1)
    error = kl.std(0) / math.sqrt(len(kl))
    assert torch.all((kl.mean(0) - kl_to_standard_normal(gp(x))).abs() < 4.5 * error)


@torch.no_grad()
def test_eq_16_monte_carlo_agrees_with_the_closed_form() -> None:
    x = digits(4)
    closed = kl_to_standard_normal(encoder(expected_kl="closed_form")(x))
    sampled = kl_to_standard_normal(
        encoder(expected_kl="monte_carlo", kl_samples=20_000)(x), torch.Generator().manual_seed(0)
    )
    assert torch.allclose(sampled, closed, atol=0.1)


@torch.no_grad()
def test_eq_15_puts_its_terms_together() -> None:
    """The bound against its definition: sampled likelihood under eq. 13, eq. 16 by hand, the global KL over N."""
    x, n_total = digits(6), 500
    gp = encoder(expected_kl="closed_form")
    vae = model(gp)
    actual = training_bound(vae, x, n_total, k=4000, generator=torch.Generator().manual_seed(5)).value
    moments = gp.moments(x)
    log_square = expected_log_square(moments.c + moments.h_mean, moments.h_var)
    expected_kl = 0.5 * (moments.v + moments.m.square() - 1 - log_square).sum(-1)
    z = moments.m + moments.v.sqrt() * torch.randn((4000, 6, D), generator=torch.Generator().manual_seed(6))
    reconstruction = vae.log_likelihood(x, z)
    global_kl = 0.0
    for weights in (gp.w, gp.u):
        L = weights.cholesky()
        trace, logdet = L.square().sum(), 2 * L.diagonal(dim1=-2, dim2=-1).log().sum()
        global_kl += 0.5 * float(trace + weights.mu.square().sum() - weights.mu.numel() - logdet)
    expected = reconstruction.mean(0) - expected_kl - global_kl / n_total
    error = reconstruction.std(0) / math.sqrt(4000)
    assert torch.all((actual - expected).abs() < 6 * error + 1e-3)


@torch.no_grad()
def test_uncertainty_is_the_dense_quadratic_form_of_each_function() -> None:
    """V[f_j] = psi_m' Sigma_j psi_m from W, V[h_j] = psi_s' Gamma_j psi_s from U, with the covariances written out."""
    gp, x = encoder(), digits(5)
    actual, expected = gp(x).uncertainty(), []
    for weights, psi in ((gp.w, gp.psi_m(x)), (gp.u, gp.psi_s(x))):
        L = weights.below.tril(-1) + torch.diag_embed(weights.log_diagonal.exp())
        expected.append(torch.stack([((psi @ (one @ one.T)) * psi).sum(1) for one in L], dim=1))
    f, h = expected
    assert not torch.allclose(f, h, rtol=0.1), "the two are alike: the test could not tell them apart"
    assert torch.allclose(actual.f, f, rtol=1e-4)
    assert torch.allclose(actual.h, h, rtol=1e-4)
    assert torch.allclose(actual.total, f.sum(1) + h.sum(1), rtol=1e-4)


@torch.no_grad()
def test_the_base_is_the_encoder_without_its_random_functions() -> None:
    """N(b(x), c(x)^2), not N(m(x), .): here W and U have means away from zero."""
    gp, x = encoder(), digits(5)
    plain = GaussianEncoderConfig().build(NET, SHAPE, D)
    plain.base.load_state_dict(gp.base.state_dict())
    q, actual, expected = gp(x), gp(x).base(), plain(x)
    assert float((q.mean - expected.mean).abs().min()) > 1e-3
    assert torch.allclose(actual.mean, expected.mean)
    assert torch.allclose(actual.variance, expected.variance)


@pytest.mark.parametrize("settings", [{"expected_kl": "closed_form"}, {}, {"kl_samples": 3}], ids=str)
def test_gradients_of_the_bound_are_finite_differences(settings: dict[str, object]) -> None:
    """This holds for the closed form, and (with its noise kept) for the Monte Carlo estimate, a run's default."""
    x = digits(3).double()
    vae = model(encoder(**settings)).double()

    def bound() -> Tensor:
        return training_bound(vae, x, 100, generator=torch.Generator().manual_seed(0)).surrogate

    parameters = dict(vae.named_parameters())
    grads = dict(zip(parameters, torch.autograd.grad(bound(), list(parameters.values())), strict=True))
    generator = torch.Generator().manual_seed(1)
    for name, value in parameters.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        if name.endswith("below"):
            direction = direction.tril(-1)
        expected = directional(bound, [value], [direction], 1e-5)
        assert float((grads[name] * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-3), name


@torch.no_grad()
@pytest.mark.parametrize("expected_kl", ["monte_carlo", "closed_form"])
def test_without_q_it_is_exactly_the_vae(expected_kl: str) -> None:
    gp, x = encoder(expected_kl=expected_kl), digits(8)
    gp.w.zero_()
    gp.u.zero_()
    plain = GaussianEncoderConfig().build(NET, SHAPE, D)
    plain.base.load_state_dict(gp.base.state_dict())
    q, p = gp(x), plain(x)
    assert torch.equal(q.mean, p.mean)
    assert torch.allclose(q.variance, p.variance, rtol=1e-6)
    assert torch.allclose(
        kl_to_standard_normal(q, torch.Generator().manual_seed(0)), kl_to_standard_normal(p), rtol=1e-5
    )
    assert torch.equal(q.uncertainty().total, torch.zeros(8))


@torch.no_grad()
def test_it_starts_from_a_vae() -> None:
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, D), digits(8)
    gp = GPEncoderConfig(start_scale=1e-4).build(NET, SHAPE, D)
    gp.start_from(plain)
    assert torch.allclose(gp(x).mean, plain(x).mean)
    assert torch.allclose(gp(x).variance, plain(x).variance, rtol=1e-3)
    assert torch.equal(gp.psi_m(x), plain.base.trunk(x))


@torch.no_grad()
def test_gaussian_kl_is_the_sampled_one() -> None:
    q = DiagonalGaussian(torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, 2.0]]))
    z, log_q = q.rsample_and_log_prob(200_000, torch.Generator().manual_seed(0))
    log_prior = -0.5 * z.square().sum(-1) - math.log(2 * math.pi)
    assert float(kl_to_standard_normal(q)) == pytest.approx(float(-elbo(log_prior - log_q)), abs=0.02)
