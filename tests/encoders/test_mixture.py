"""The mixture encoder: gradients of its weights, its start, and its bound against quadrature."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.mixture import MixtureConfig, MixtureEncoder, weights_reward
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.objectives.base import OBJECTIVES, ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.objectives.free_bits import FreeBitsConfig
from gpvae_core.regularisers.consistency import ConsistencyConfig
from gpvae_core.regularisers.weight_norm import WeightNormConfig
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE

SHAPE = (1, 8, 8)
NET = FullyConnectedConfig(hidden=16)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


@torch.no_grad()
@pytest.mark.parametrize("norm", [None, 100.0])
def test_it_starts_from_a_vae(norm: float | None) -> None:
    """With weights that are normalised too, here by a norm that leaves those of the VAE as they are."""
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, 3), digits(8)
    module = MixtureConfig(components=4).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(module)
    module.start_from(plain)
    q = module(x)
    assert torch.allclose(q.m, plain(x).mean.unsqueeze(1).expand(8, 4, 3), atol=0.02)
    assert torch.allclose(q.variance, plain(x).variance, rtol=0.05)
    assert float((q.m[:, 0] - q.m[:, 1]).abs().min()) > 0
    again = MixtureConfig(components=4).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(again)
    again.start_from(module)
    assert torch.equal(again(x).mean, q.mean)
    with pytest.raises(UserError, match="as many components"):
        MixtureConfig(components=2).build(NET, SHAPE, 3).start_from(module)


def test_the_reward_of_the_weights_has_the_gradient_of_the_elbo() -> None:
    """Against quadrature in d = 1, for components 12 standard deviations apart."""
    logits = torch.tensor([[0.5, -0.3, 0.2]], dtype=torch.float64, requires_grad=True)
    m = torch.tensor([[[-6.0], [0.5], [6.0]]], dtype=torch.float64)
    s = torch.tensor([[[0.5], [0.7], [0.6]]], dtype=torch.float64)

    def log_joint(x: Tensor, z: Tensor) -> Tensor:
        return torch.sin(z[..., 0]) - 0.3 * (z[..., 0] - x.flatten()).abs()

    x = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    grid = torch.linspace(-14, 14, 8001, dtype=torch.float64).view(-1, 1, 1)
    log_q = GaussianMixture(logits.log_softmax(-1), m, s).log_prob(grid)
    integral = (log_q.exp() * (log_joint(x, grid) - log_q)).sum() * (grid[1] - grid[0]).squeeze()
    (expected,) = torch.autograd.grad(integral, logits)
    q, generator = GaussianMixture(logits.log_softmax(-1), m, s), torch.Generator().manual_seed(0)
    rewards = torch.stack([weights_reward(log_joint, x, q, generator) for _ in range(4000)])
    assert float(rewards.detach().abs().max()) == 0.0
    (actual,) = torch.autograd.grad(rewards.mean(), logits)
    assert float(expected.abs().max()) > 0.1
    assert torch.allclose(actual, expected, atol=0.02)


class TwoModes(nn.Module):
    """A decoder for which p(z|x = 0) is, in one dimension, .8 N(-a, .25) + .2 N(a, .25), under N(x; g(z), 1)."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.posterior = GaussianMixture(
            torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[[-a], [a]]]), torch.full((1, 2, 1), 0.5)
        )

    def forward(self, z: Tensor) -> Tensor:
        fit = self.posterior.log_prob(z.unsqueeze(1)).squeeze(1) + 0.5 * z.square().sum(-1)
        return (2.0 * (50.0 - fit)).sqrt().view(-1, 1, 1, 1)


def model_of_two_modes(a: float) -> VAE:
    """Its mixture encoder answers with the posterior's components, at equal weights."""
    encoder = MixtureConfig(components=2).build(NET, (1, 1, 1), 1)
    with torch.no_grad():
        for layer in (encoder.head, encoder.weights):
            layer.weight.zero_()
            layer.bias.zero_()
        raw_s = math.log(math.expm1(0.5))
        encoder.head.bias.copy_(torch.tensor([-a, raw_s, a, raw_s]))
    return VAE(TwoModes(a), GaussianConfig(sigma_x=1.0, learn_sigma_x=False).build(), encoder, 1, (1, 1, 1))


def gradient_of_the_elbo_by_quadrature(a: float) -> float:
    """In the first logit."""
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    m, s = torch.tensor([[[-a], [a]]], dtype=torch.float64), torch.full((1, 2, 1), 0.5, dtype=torch.float64)
    true = GaussianMixture(torch.tensor([[0.8, 0.2]], dtype=torch.float64).log(), m, s)
    grid = torch.linspace(-a - 5, a + 5, 20_001, dtype=torch.float64).view(-1, 1, 1)
    log_q = GaussianMixture(logits.log_softmax(-1), m, s).log_prob(grid)
    elbo = (log_q.exp() * (true.log_prob(grid) - log_q)).sum() * (grid[1] - grid[0]).squeeze()
    return float(torch.autograd.grad(elbo, logits)[0][0, 0])


def gradients_of_the_surrogate(vae: VAE, settings: BoundSettings) -> Tensor:
    """In the first logit, of 30 training steps."""
    generator, x, actual = torch.Generator().manual_seed(0), torch.zeros(500, 1, 1, 1), []
    assert isinstance(vae.encoder, MixtureEncoder)
    settings = replace(settings, reward=vae.encoder.stages()[0].reward)
    for _ in range(30):
        surrogate = training_bound(vae, x, len(x), 10, generator, settings).surrogate
        actual.append(torch.autograd.grad(surrogate, vae.encoder.weights.bias)[0][0])
    return torch.stack(actual)


OBJECTIVES_UNDER_TEST = [
    ElboConfig(),
    ElboConfig(gradient="stl"),
    *(OBJECTIVES.get(kind)() for kind in sorted(OBJECTIVES.summaries()) if kind != "elbo"),
]


@pytest.mark.parametrize("objective", OBJECTIVES_UNDER_TEST, ids=repr)
@pytest.mark.parametrize("distance", [0, 6, 20])
def test_the_weights_follow_the_elbo_under_any_objective(objective: ObjectiveConfig, distance: int) -> None:
    """Components `distance` standard deviations apart; what a training step follows, against quadrature."""
    vae = model_of_two_modes(0.25 * distance)
    each = gradients_of_the_surrogate(vae, BoundSettings(objective))
    exact, error = gradient_of_the_elbo_by_quadrature(0.25 * distance), float(each.std()) / math.sqrt(len(each))
    assert float(each.mean()) == pytest.approx(exact, abs=4 * error + 1e-6)
    if distance:
        assert exact > 0.3
        assert error < 0.02


def test_under_free_bits_the_weights_follow_the_free_nats_too() -> None:
    """Against quadrature of the ELBO, and the closed-form KL of the marginal moments, which is all free here."""
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    m, s = torch.tensor([[[-1.5], [1.5]]], dtype=torch.float64), torch.full((1, 2, 1), 0.5, dtype=torch.float64)
    q = GaussianMixture(logits.log_softmax(-1), m, s)
    free = 0.5 * (q.variance + q.mean.square() - 1.0 - q.variance.log()).sum()
    exact = gradient_of_the_elbo_by_quadrature(1.5) + float(torch.autograd.grad(free, logits)[0][0, 0])
    each = gradients_of_the_surrogate(model_of_two_modes(1.5), BoundSettings(FreeBitsConfig(free_nats=50.0)))
    error = float(each.std()) / math.sqrt(len(each))
    assert float(each.mean()) == pytest.approx(exact, abs=4 * error + 1e-6)


@pytest.mark.parametrize("refiner", ["sa", "vlae", "iai"])
def test_a_refined_posterior_trains_means_and_scales_but_not_the_weights(refiner: str) -> None:
    """They follow the ELBO of the encoder's own mixture, and would follow the refined one besides."""
    config = make_config(f"me+{refiner}", DataConfig(name="digits"), SHAPE, {"net.hidden": 16})
    vae = config.build(SHAPE)
    assert isinstance(vae.encoder, MixtureEncoder)
    bound = training_bound(vae, digits(4), 4, 1, torch.Generator().manual_seed(0))
    parameters = [vae.encoder.weights.weight, vae.encoder.weights.bias, vae.encoder.head.bias]
    of_weights, of_bias, of_head = torch.autograd.grad(bound.surrogate, parameters, allow_unused=True)
    assert of_weights is None
    assert of_bias is None
    assert float(of_head.abs().max()) > 0


def test_consistency_does_not_train_the_weights() -> None:
    """The KL from the copy's mixture to the image's has a gradient in the latter's means and scales alone."""
    vae, x = model_of_two_modes(1.5), torch.zeros(50, 1, 1, 1)
    logits = torch.tensor([[0.7, -0.4]], requires_grad=True)
    m = torch.tensor([[[-1.0], [2.0]]], requires_grad=True)
    q = GaussianMixture(logits.log_softmax(-1).expand(50, 2), m.expand(50, 2, 1), torch.full((50, 2, 1), 0.5))
    penalty = ConsistencyConfig(consistency=2.0).penalty(vae, x, q, torch.Generator().manual_seed(0))
    of_logits, of_m = torch.autograd.grad(penalty.mean(), [logits, m], allow_unused=True)
    assert of_logits is None
    assert float(of_m.abs().max()) > 0.1
