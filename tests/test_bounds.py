"""The bounds against quadrature in closed models, their limits, their order and their numerical range."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gpvae_core.bounds import ciwae, cubo, elbo, iwae, miwae, piwae, renyi


def log_weights(k: int = 12, b: int = 7, scale: float = 2.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(k, b, generator=generator, dtype=torch.float64) - 30.0


def normal_log_weights(k: int, mean: float, std: float) -> Tensor:
    """log w of z ~ N(mean, std^2) for the model p(z) p(x|z) = 3 N(z; 0.5, 1.5^2), so that log p(x) = log 3."""
    z = mean + std * torch.randn(k, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p, q = torch.distributions.Normal(0.5, 1.5), torch.distributions.Normal(mean, std)
    return math.log(3.0) + p.log_prob(z) - q.log_prob(z)


def renyi_by_quadrature(alpha: float, mean: float, std: float) -> float:
    """1 / (1 - alpha) log of the integral of q^alpha p(x, z)^(1 - alpha)."""
    z = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    log_p = math.log(3.0) + torch.distributions.Normal(0.5, 1.5).log_prob(z)
    log_q = torch.distributions.Normal(mean, std).log_prob(z)
    total = torch.logsumexp(alpha * log_q + (1 - alpha) * log_p, 0) + math.log(float(z[1] - z[0]))
    return float(total) / (1 - alpha)


def test_renyi_at_one_is_the_elbo_and_at_zero_iwae() -> None:
    log_w = log_weights()
    assert torch.equal(renyi(log_w, 1.0), elbo(log_w))
    assert torch.allclose(renyi(log_w, 0.0), iwae(log_w), rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, -1e-9])
def test_renyi_goes_to_the_elbo_with_the_slope_of_half_the_variance(step: float) -> None:
    """d renyi / d alpha at 1 is -Var(log w) / 2; dividing by 1 - alpha must not lose the digits."""
    log_w = log_weights()
    difference = renyi(log_w, 1.0 - step) - elbo(log_w)
    half_variance = 0.5 * log_w.var(0, correction=0)
    assert torch.allclose(difference, step * half_variance, rtol=1e-2, atol=1e-13)
    assert torch.allclose(renyi(log_w.float(), 1.0 - step), elbo(log_w).float(), rtol=1e-6, atol=6 * abs(step))


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5, 0.999, 2.0])
def test_renyi_of_many_samples_is_the_integral(alpha: float) -> None:
    actual = float(renyi(normal_log_weights(400_000, 0.2, 1.4), alpha))
    assert actual == pytest.approx(renyi_by_quadrature(alpha, 0.2, 1.4), abs=3e-3)


def test_cubo_of_order_two_is_the_integral_and_above_the_evidence() -> None:
    actual = float(cubo(normal_log_weights(400_000, 0.2, 1.4), 2.0))
    assert actual == pytest.approx(renyi_by_quadrature(-1.0, 0.2, 1.4), abs=3e-3)
    assert actual > math.log(3.0) + 0.01


def test_bounds_stand_in_order_around_the_evidence() -> None:
    log_w = normal_log_weights(400_000, 0.6, 1.2)
    order = [elbo(log_w), renyi(log_w, 0.5), iwae(log_w), cubo(log_w, 2.0)]
    assert all(float(low) < float(high) for low, high in pairwise(order))
    tens = iwae(log_w.view(10, -1)).mean()
    assert float(order[0]) < float(tens) < float(iwae(log_w)) == pytest.approx(math.log(3.0), abs=2e-3)


def test_renyi_never_increases_with_alpha_and_cubo_never_decreases_with_its_order() -> None:
    log_w = log_weights(scale=20.0)
    values = torch.stack([renyi(log_w, alpha) for alpha in (-20.0, -2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 3.0, 20.0)])
    assert torch.all(values.diff(dim=0) < 0)
    assert torch.all(values <= log_w.amax(0))
    assert torch.all(values >= log_w.amin(0))
    orders = torch.stack([cubo(log_w, order) for order in (1.0, 2.0, 5.0, 50.0)])
    assert torch.all(orders.diff(dim=0) > 0)
    assert torch.allclose(orders[0], iwae(log_w), atol=1e-12)


@pytest.mark.parametrize("alpha", [-3.0, 0.0, 0.5, 0.9999999, 2.0])
def test_renyi_of_far_apart_weights_stays_finite_with_the_gradient_of_a_softmax(alpha: float) -> None:
    log_w = log_weights(scale=3000.0).float().requires_grad_()
    value = renyi(log_w, alpha)
    value.sum().backward()
    assert torch.all(value.isfinite())
    assert log_w.grad is not None
    assert torch.allclose(log_w.grad, torch.softmax((1 - alpha) * log_w.detach(), 0), atol=1e-5)


def test_ciwae_lies_between_its_two_ends() -> None:
    log_w = log_weights()
    assert torch.equal(ciwae(log_w, 1.0), elbo(log_w))
    assert torch.equal(ciwae(log_w, 0.0), iwae(log_w))
    assert torch.allclose(ciwae(log_w, 0.25), 0.25 * elbo(log_w) + 0.75 * iwae(log_w))


def test_miwae_has_elbo_and_iwae_as_its_ends_and_is_the_mean_of_the_groups() -> None:
    log_w = log_weights(12)
    assert torch.allclose(miwae(log_w.view(12, 1, 7)), elbo(log_w))
    assert torch.allclose(miwae(log_w.view(1, 12, 7)), iwae(log_w))
    groups = log_w.view(3, 4, 7)
    assert torch.allclose(miwae(groups), torch.stack([iwae(group) for group in groups]).mean(0))


def test_piwae_gives_the_decoder_all_samples_and_the_encoder_the_groups() -> None:
    log_w = log_weights(12)
    decoder, encoder = piwae(log_w.view(3, 4, 7))
    assert torch.allclose(decoder, iwae(log_w))
    assert torch.allclose(encoder, miwae(log_w.view(3, 4, 7)))
    assert torch.all(encoder <= decoder)
