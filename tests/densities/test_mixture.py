"""The mixture of Gaussians against torch's own, quadrature and finite differences: its gradients are unbiased."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpvae_core.densities.mixture import GaussianMixture
from tests.oracles import kl_to_standard_normal


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
    expected = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=q.log_w), components)
    z, log_q = q.rsample_and_log_prob(50_000, torch.Generator().manual_seed(0))
    assert torch.allclose(log_q, expected.log_prob(z))
    assert torch.allclose(q.mean, expected.mean)
    assert torch.allclose(q.variance, expected.variance)
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
    expected = torch.autograd.grad(integral, values)

    n, parts, generator = 2000, 40, torch.Generator().manual_seed(1)
    actual: list[list[Tensor]] = []
    for _ in range(parts):
        z, log_q = mixture(logits, *values).rsample_and_log_prob(n, generator)
        actual.append(list(torch.autograd.grad((f(z) + log_q).mean(), values)))
    for i, exact in enumerate(expected):
        each = torch.stack([grads[i] for grads in actual])
        error = each.std(0) / math.sqrt(parts)
        assert float(error.max()) < 0.1 * float(exact.abs().max())
        assert torch.all((each.mean(0) - exact).abs() < 4 * error + 1e-6)


def test_one_component_is_the_gaussian_encoder() -> None:
    q = GaussianMixture(torch.zeros(2, 1), torch.randn(2, 1, 3), torch.rand(2, 1, 3) + 0.5)
    m, s = q.m.requires_grad_(), q.s.requires_grad_()
    z, _ = q.rsample_and_log_prob(6, torch.Generator().manual_seed(0))
    eps = ((z - m[:, 0]) / s[:, 0]).detach()
    expected = torch.autograd.grad(f(m[:, 0] + s[:, 0] * eps).sum(), [m, s])
    for actual, exact in zip(torch.autograd.grad(f(z).sum(), [m, s]), expected, strict=True):
        assert torch.allclose(actual, exact, rtol=1e-4, atol=1e-5)


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


def test_the_kl_has_its_gradient_in_everything() -> None:
    """Far components have one too, where no samples are given; compared with quadrature at d = 1."""
    logits, m, log_s = (value.requires_grad_() for value in parameters(1))
    far = m + torch.tensor([[[-6.0], [0.0], [6.0]]], dtype=torch.float64)
    grid = torch.linspace(-16, 16, 8001, dtype=torch.float64).view(-1, 1, 1)
    log_q = mixture(logits, far, log_s).log_prob(grid)
    log_p = -0.5 * grid[..., 0].square() - 0.5 * math.log(2 * math.pi)
    integral = (log_q.exp() * (log_q - log_p)).sum() * (grid[1] - grid[0]).squeeze()
    expected = torch.autograd.grad(integral, (logits, m, log_s), retain_graph=True)
    q, generator = mixture(logits, far, log_s), torch.Generator().manual_seed(0)
    kl = torch.stack([kl_to_standard_normal(q, generator) for _ in range(1000)])
    assert float(kl.detach().mean()) == pytest.approx(float(integral.detach()), rel=0.02)
    for actual, exact in zip(torch.autograd.grad(kl.mean(), (logits, m, log_s)), expected, strict=True):
        assert torch.allclose(actual, exact, rtol=0.05, atol=0.05)


def test_moments_keep_their_gradient_after_samples_were_drawn() -> None:
    log_w = torch.zeros(1, 2).log_softmax(-1).requires_grad_()
    q = GaussianMixture(log_w, torch.tensor([[[-1.0], [2.0]]]), torch.ones(1, 2, 1))
    q.rsample_and_log_prob(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert float(q.variance) == pytest.approx(3.25)
    (grad,) = torch.autograd.grad(q.mean.sum(), log_w)
    assert torch.allclose(grad, torch.tensor([[-0.5, 1.0]]))
