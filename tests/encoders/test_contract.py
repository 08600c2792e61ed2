"""Every registered encoder family keeps the contract of design; a new family is tested here with no edit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.bounds import elbo, iwae
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.base import sampled_kl
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.encoders.base import ENCODERS, Encoder
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.methods import methods
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.vae import VAE
from tests.oracles import kl_to_standard_normal

SHAPE = (1, 8, 8)
FAMILIES = sorted(ENCODERS.summaries())
NET = FullyConnectedConfig(hidden=16)


def build(kind: str, d: int = 2) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS.get(kind)().build(NET, SHAPE, d)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_density_integrates_to_one(kind: str) -> None:
    q = build(kind)(digits(3))
    axis = torch.linspace(-12, 12, 481)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1).expand(-1, 3, -1)
    mass = q.log_prob(z).exp().sum(0) * (axis[1] - axis[0]) ** 2
    assert torch.allclose(mass, torch.ones(3), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_log_prob_agrees_with_the_samples(kind: str) -> None:
    q = build(kind)(digits(4))
    z, log_q = q.rsample_and_log_prob(7, torch.Generator().manual_seed(1))
    assert torch.allclose(q.log_prob(z), log_q, atol=1e-4)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_detached_density_has_a_gradient_in_z_alone(kind: str) -> None:
    encoder = build(kind)
    q = encoder(digits(3))
    z = q.rsample_and_log_prob(4, torch.Generator().manual_seed(1))[0].detach().requires_grad_()
    log_q = q.detached().log_prob(z)
    assert torch.allclose(log_q, q.log_prob(z), atol=1e-4)
    log_q.sum().backward()
    assert z.grad is not None
    assert float(z.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_kl_term_agrees_with_sampling(kind: str) -> None:
    """KL(q || N(0, I)), or for a Bayesian encoder its expectation over the random weights, which is larger."""
    q = build(kind)(digits(4))
    sampled = sampled_kl(
        q.rsample_and_log_prob(20_000, torch.Generator().manual_seed(1)), DiagonalGaussian.standard(q.mean, 2)
    )
    actual = torch.stack([kl_to_standard_normal(q, torch.Generator().manual_seed(i)) for i in range(200)]).mean(0)
    if q.uncertainty() is None:
        assert torch.allclose(actual, sampled, rtol=0.1, atol=0.1)
    else:
        assert torch.all(actual > sampled - 0.1)


@torch.no_grad()
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_kl_term_to_another_gaussian_agrees_with_sampling(kind: str, covariance: str) -> None:
    """A prior that is no N(0, I), with a mean and a covariance of its own for each image."""
    q = build(kind)(digits(4))
    generator = torch.Generator().manual_seed(5)
    m, s = torch.randn((4, 2), generator=generator), 0.5 + torch.rand((4, 2), generator=generator)
    chol = torch.diag_embed(s) + torch.tensor([[0.0, 0.0], [0.6, 0.0]])
    prior = DiagonalGaussian(m, s) if covariance == "diagonal" else FullGaussian(m, chol)
    sampled = sampled_kl(q.rsample_and_log_prob(20_000, torch.Generator().manual_seed(1)), prior)
    kl = torch.stack([q.kl(prior, torch.Generator().manual_seed(i)) for i in range(200)]).mean(0)
    if q.uncertainty() is None:
        assert torch.allclose(kl, sampled, rtol=0.1, atol=0.1)
    else:
        assert torch.all(kl > sampled - 0.1)


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_mean_and_variance_are_those_of_the_samples(kind: str) -> None:
    q = build(kind)(digits(4))
    z, _ = q.rsample_and_log_prob(40_000, torch.Generator().manual_seed(1))
    assert torch.all((z.mean(0) - q.mean).abs() < 0.03 * q.variance.sqrt())
    assert torch.allclose(z.var(0) / q.variance, torch.ones_like(q.variance), atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_rows_are_independent(kind: str) -> None:
    encoder, x = build(kind).eval(), digits(6)
    together, alone = encoder(x), encoder(x[2:3])
    assert torch.allclose(together.mean[2], alone.mean[0], atol=1e-5)
    assert torch.allclose(together.variance[2], alone.variance[0], rtol=1e-4)


@pytest.mark.parametrize("kind", FAMILIES)
def test_gradients_reach_every_parameter(kind: str) -> None:
    encoder = build(kind)
    q = encoder(digits(8))
    z, log_q = q.rsample_and_log_prob(2, torch.Generator().manual_seed(0))
    (
        z.square().sum()
        + log_q.sum()
        + kl_to_standard_normal(q, torch.Generator().manual_seed(0)).sum()
        + encoder.global_kl()
    ).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


@pytest.mark.parametrize("method", sorted(methods()))
def test_config_survives_json(method: str) -> None:
    config = make_config(method, DataConfig(name="digits"), SHAPE, {"latent_dim": 3, "lr": 1e-3, "seed": 4})
    again = parse_config(config.to_json())
    assert again == config
    assert isinstance(again, RunConfig)
    assert type(again.encoder) is type(config.encoder)


@torch.no_grad()
@pytest.mark.parametrize("kind", FAMILIES)
def test_bounds_stay_below_log_px_of_the_linear_gaussian_model(kind: str) -> None:
    """x = A z + noise has log p(x) = log N(x; 0, A A' + sigma^2 I)."""
    sigma = 2.0
    linear = nn.Linear(2, 64, bias=False)
    torch.nn.init.normal_(linear.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    decoder = nn.Sequential(linear, nn.Unflatten(1, SHAPE))
    likelihood = GaussianConfig(sigma_x=sigma, learn_sigma_x=False).build()
    vae, x = VAE(decoder, likelihood, build(kind), 2, SHAPE), digits(40)
    covariance = linear.weight @ linear.weight.T + sigma**2 * torch.eye(64)
    truth = torch.distributions.MultivariateNormal(torch.zeros(64), covariance).log_prob(x.flatten(1))
    log_w = vae.log_weights(x, 20_000, torch.Generator().manual_seed(3))
    tens = iwae(log_w.view(10, -1))
    levels = [float(value.mean()) for value in (elbo(log_w), tens, iwae(log_w), truth)]
    assert levels[0] < levels[1] < levels[2] <= levels[3] + 0.02
    assert levels[3] - levels[2] < 0.5 * (levels[3] - levels[0])
