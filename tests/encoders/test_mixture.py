"""The mixture posterior against torch's own, quadrature and finite differences: its gradients are unbiased."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.mixture import MixtureConfig, MixtureEncoder, weights_reward
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.objectives.base import ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.objectives.free_bits import FreeBitsConfig
from gpvae_core.objectives.iwae import IwaeConfig
from gpvae_core.regularisers.weight_norm import WeightNormConfig
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE
from tests.oracles import kl_to_standard_normal

SHAPE = (1, 8, 8)
NET = FullyConnectedConfig(hidden=16)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


def parameters(d: int, b: int = 1, components: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and log scales of components that overlap."""
    generator = torch.Generator().manual_seed(d)
    logits = torch.randn((b, components), generator=generator, dtype=torch.float64)
    m = 1.2 * torch.randn((b, components, d), generator=generator, dtype=torch.float64)
    log_s = 0.3 * torch.randn((b, components, d), generator=generator, dtype=torch.float64)
    return logits, m, log_s


def mixture(logits: Tensor, m: Tensor, log_s: Tensor) -> GaussianMixture:
    return GaussianMixture(logits.log_softmax(-1), m, log_s.exp())


def f(z: Tensor) -> Tensor:
    """Some smooth function that is neither even, odd nor separable."""
    direction = torch.linspace(0.5, 1.5, z.shape[-1], dtype=z.dtype)
    along = (z * direction).sum(-1)
    return torch.sin(2.0 * along) + 0.3 * along.square() + z[..., 0].tanh() * along


@torch.no_grad()
@pytest.mark.parametrize("d", [1, 3])
def test_density_and_moments_are_those_of_torchs_mixture(d: int) -> None:
    q = mixture(*parameters(d, b=4))
    components = torch.distributions.Independent(torch.distributions.Normal(q.m, q.s), 1)
    wanted = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=q.log_w), components)
    z, log_q = q.rsample_and_log_prob(50_000, torch.Generator().manual_seed(0))
    assert torch.allclose(log_q, wanted.log_prob(z))
    assert torch.allclose(q.mean, wanted.mean)
    assert torch.allclose(q.variance, wanted.variance)
    assert torch.all((z.mean(0) - q.mean).abs() < 0.02 * q.variance.sqrt())
    assert torch.allclose(z.var(0) / q.variance, torch.ones_like(q.variance), atol=0.03)
    share = q.log_joint(z).softmax(-1).mean(0)
    assert torch.allclose(share, q.log_w.exp(), atol=0.01)


@pytest.mark.parametrize("d", [1, 2])
def test_gradients_of_an_expectation_are_unbiased(d: int) -> None:
    """d/dphi E_q[f + log q] in means and scales: the mean over samples against quadrature on a grid."""
    logits, m, log_s = parameters(d)
    values = [m.requires_grad_(), log_s.requires_grad_()]
    axis = torch.linspace(-9, 9, 4001 if d == 1 else 241, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * d).view(-1, 1, d)
    log_q = mixture(logits, *values).log_prob(grid)
    integral = (log_q.exp() * (f(grid) + log_q)).sum() * (axis[1] - axis[0]) ** d
    wanted = torch.autograd.grad(integral, values)

    n, parts, generator = 2000, 40, torch.Generator().manual_seed(1)
    found: list[list[Tensor]] = []
    for _ in range(parts):
        z, log_q = mixture(logits, *values).rsample_and_log_prob(n, generator)
        found.append(list(torch.autograd.grad((f(z) + log_q).mean(), values)))
    for i, exact in enumerate(wanted):
        each = torch.stack([grads[i] for grads in found])
        error = each.std(0) / math.sqrt(parts)
        assert float(error.max()) < 0.1 * float(exact.abs().max())
        assert torch.all((each.mean(0) - exact).abs() < 4 * error + 1e-6)


def test_one_component_is_the_gaussian_encoder() -> None:
    q = GaussianMixture(torch.zeros(2, 1), torch.randn(2, 1, 3), torch.rand(2, 1, 3) + 0.5)
    m, s = q.m.requires_grad_(), q.s.requires_grad_()
    z, _ = q.rsample_and_log_prob(6, torch.Generator().manual_seed(0))
    eps = ((z - m[:, 0]) / s[:, 0]).detach()
    wanted = torch.autograd.grad(f(m[:, 0] + s[:, 0] * eps).sum(), [m, s])
    for found, exact in zip(torch.autograd.grad(f(z).sum(), [m, s]), wanted, strict=True):
        assert torch.allclose(found, exact, rtol=1e-4, atol=1e-5)


def test_gradients_stay_finite_between_far_components() -> None:
    """20 standard deviations apart; also where every sample lies far out in the tail of the other component."""
    logits = torch.zeros(1, 2)
    values = [
        torch.tensor([[[-10.0, 3.0], [10.0, -3.0]]], requires_grad=True),
        torch.full((1, 2, 2), -0.1, requires_grad=True),
    ]
    z, log_q = mixture(logits, *values).rsample_and_log_prob(2000, torch.Generator().manual_seed(0))
    for grad in torch.autograd.grad((f(z) + log_q).mean(), values):
        assert bool(grad.isfinite().all())
        assert float(grad.abs().max()) < 100


@torch.no_grad()
@pytest.mark.parametrize("norm", [None, 100.0])
def test_it_starts_from_a_vae(norm: float | None) -> None:
    """With weights that are normalised too, here by a norm that leaves those of the VAE as they are."""
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, 3), digits(8)
    made = MixtureConfig(components=4).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(made)
    made.start_from(plain)
    q = made(x)
    assert torch.allclose(q.m, plain(x).mean.unsqueeze(1).expand(8, 4, 3), atol=0.02)
    assert torch.allclose(q.variance, plain(x).variance, rtol=0.05)
    assert float((q.m[:, 0] - q.m[:, 1]).abs().min()) > 0
    again = MixtureConfig(components=4).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(again)
    again.start_from(made)
    assert torch.equal(again(x).mean, q.mean)
    with pytest.raises(UserError, match="as many components"):
        MixtureConfig(components=2).build(NET, SHAPE, 3).start_from(made)


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
    (wanted,) = torch.autograd.grad(integral, logits)
    q, generator = GaussianMixture(logits.log_softmax(-1), m, s), torch.Generator().manual_seed(0)
    rewards = torch.stack([weights_reward(log_joint, x, q, generator) for _ in range(4000)])
    assert float(rewards.detach().abs().max()) == 0.0
    (found,) = torch.autograd.grad(rewards.mean(), logits)
    assert float(wanted.abs().max()) > 0.1
    assert torch.allclose(found, wanted, atol=0.02)


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


@pytest.mark.parametrize("objective", [ElboConfig(), ElboConfig(gradient="stl"), IwaeConfig(), FreeBitsConfig()])
@pytest.mark.parametrize("apart", [0, 6, 20])
def test_the_weights_follow_the_elbo_under_any_objective(objective: ObjectiveConfig, apart: int) -> None:
    """Components `apart` standard deviations apart; what a training step follows, against quadrature."""
    vae, generator = model_of_two_modes(0.25 * apart), torch.Generator().manual_seed(0)
    encoder, x, found = vae.encoder, torch.zeros(500, 1, 1, 1), []
    assert isinstance(encoder, MixtureEncoder)
    how = BoundSettings(objective, reward=encoder.stages()[0].reward)
    for _ in range(30):
        surrogate = training_bound(vae, x, len(x), 10, generator, how).surrogate
        found.append(torch.autograd.grad(surrogate, encoder.weights.bias)[0][0])
    each, exact = torch.stack(found), gradient_of_the_elbo_by_quadrature(0.25 * apart)
    error = float(each.std()) / math.sqrt(len(found))
    assert float(each.mean()) == pytest.approx(exact, abs=4 * error + 1e-6)
    if apart:
        assert exact > 0.3
        assert error < 0.02


def test_the_kl_has_its_gradient_in_everything() -> None:
    """Of far components too, where no samples are given; against quadrature in d = 1."""
    logits, m, log_s = (value.requires_grad_() for value in parameters(1))
    far = m + torch.tensor([[[-6.0], [0.0], [6.0]]], dtype=torch.float64)
    grid = torch.linspace(-16, 16, 8001, dtype=torch.float64).view(-1, 1, 1)
    log_q = mixture(logits, far, log_s).log_prob(grid)
    log_p = -0.5 * grid[..., 0].square() - 0.5 * math.log(2 * math.pi)
    integral = (log_q.exp() * (log_q - log_p)).sum() * (grid[1] - grid[0]).squeeze()
    wanted = torch.autograd.grad(integral, (logits, m, log_s), retain_graph=True)
    q, generator = mixture(logits, far, log_s), torch.Generator().manual_seed(0)
    kl = torch.stack([kl_to_standard_normal(q, generator) for _ in range(1000)])
    assert float(kl.detach().mean()) == pytest.approx(float(integral.detach()), rel=0.02)
    for found, exact in zip(torch.autograd.grad(kl.mean(), (logits, m, log_s)), wanted, strict=True):
        assert torch.allclose(found, exact, rtol=0.05, atol=0.05)


def test_moments_keep_their_gradient_after_samples_were_drawn() -> None:
    log_w = torch.zeros(1, 2).log_softmax(-1).requires_grad_()
    q = GaussianMixture(log_w, torch.tensor([[[-1.0], [2.0]]]), torch.ones(1, 2, 1))
    q.rsample_and_log_prob(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert float(q.variance) == pytest.approx(3.25)
    (grad,) = torch.autograd.grad(q.mean.sum(), log_w)
    assert torch.allclose(grad, torch.tensor([[-0.5, 1.0]]))
