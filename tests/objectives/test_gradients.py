"""The expected gradient of every estimator is the derivative of its bound, for the encoder and for the decoder.

Expectations over the noise are Gauss-Hermite quadratures, derivatives central differences of such quadratures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from gpvae_core import bounds
from gpvae_core.objectives.base import BatchPosteriors, ObjectiveConfig
from gpvae_core.objectives.ciwae import CiwaeConfig
from gpvae_core.objectives.cubo import CuboConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.objectives.iwae import IwaeConfig
from gpvae_core.objectives.miwae import MiwaeConfig
from gpvae_core.objectives.piwae import PiwaeConfig
from gpvae_core.objectives.renyi import RenyiConfig
from gpvae_core.vae import VAE
from tests.objectives.nodes import NodeGaussian, X, hermite, images, log_evidence, model, posterior

START = torch.tensor([0.2, 0.6, 1.1], dtype=torch.float64)
"""m, s of q and the decoder's first weight."""
Bound = Callable[[Tensor], Tensor]


def in_pairs(of: Bound) -> Bound:
    return lambda log_w: of(log_w.unflatten(0, (2, -1)))


def normal(at: Tensor, mean: Tensor | float, std: Tensor | float) -> Tensor:
    """log N(at; mean, std^2)."""
    std = torch.as_tensor(std, dtype=torch.float64)
    return -0.5 * ((at - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)


def log_w(point: Tensor, eps: Tensor, kl_weight: float) -> Tensor:
    """log w at the nodes, written anew."""
    m, s, weight = point
    z = m + s * eps
    fit = normal(X[0], weight * z + 0.2, 0.7) + normal(X[1], -0.6 * z - 0.1, 0.7)
    return fit - kl_weight * (normal(z, m, s) - normal(z, 0.0, 1.0))


def slope(of: Bound, draws: int, nodes: int, kl_weight: float) -> Tensor:
    """d E[bound] / d (m, s, weight) by central differences."""
    eps, weights = hermite(draws, nodes)
    values = []
    for i in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[i] = 1e-4
        ends = [float(weights @ of(log_w(START + sign * step, eps, kl_weight))) for sign in (1, -1)]
        values.append((ends[0] - ends[1]) / 2e-4)
    return torch.tensor(values, dtype=torch.float64)


def gradient(objective: ObjectiveConfig, k: int, draws: int, nodes: int, kl_weight: float) -> tuple[Tensor, float]:
    """The mean gradient of the surrogate in (m, s, weight), and the mean value."""
    eps, weights = hermite(draws, nodes)
    vae = model()
    m, s = START[0:1].clone().requires_grad_(), START[1:2].clone().requires_grad_()
    actual = objective.estimate(
        BatchPosteriors(vae, images(len(weights)), NodeGaussian(m, s, eps), k, kl_weight=kl_weight)
    )
    (weights @ actual.surrogate).backward()
    grads = [m.grad, s.grad, next(vae.decoder.parameters()).grad]
    assert not actual.value.requires_grad
    return torch.cat([g.flatten()[:1] for g in grads if g is not None]), float(weights @ actual.value)


CASES: list[tuple[ObjectiveConfig, Bound, Bound, int, int]] = [
    (ElboConfig(), bounds.elbo, bounds.elbo, 1, 1),
    (ElboConfig(gradient="stl"), bounds.elbo, bounds.elbo, 1, 1),
    (ElboConfig(gradient="stl"), bounds.elbo, bounds.elbo, 2, 2),
    (IwaeConfig(), bounds.iwae, bounds.iwae, 2, 2),
    (IwaeConfig(gradient="dreg"), bounds.iwae, bounds.iwae, 2, 2),
    (IwaeConfig(gradient="dreg"), bounds.iwae, bounds.iwae, 3, 3),
    (CiwaeConfig(beta=0.3), partial(bounds.ciwae, beta=0.3), partial(bounds.ciwae, beta=0.3), 2, 2),
    (CiwaeConfig(beta=0.3, gradient="dreg"), partial(bounds.ciwae, beta=0.3), partial(bounds.ciwae, beta=0.3), 2, 2),
    (MiwaeConfig(groups=2), in_pairs(bounds.miwae), in_pairs(bounds.miwae), 2, 4),
    (MiwaeConfig(groups=2, gradient="dreg"), in_pairs(bounds.miwae), in_pairs(bounds.miwae), 2, 4),
    (PiwaeConfig(groups=2), in_pairs(bounds.miwae), bounds.iwae, 2, 4),
    (PiwaeConfig(groups=2, gradient="dreg"), in_pairs(bounds.miwae), bounds.iwae, 2, 4),
    (RenyiConfig(alpha=0.4), partial(bounds.renyi, alpha=0.4), partial(bounds.renyi, alpha=0.4), 2, 2),
    (RenyiConfig(alpha=0.4, gradient="dreg"), partial(bounds.renyi, alpha=0.4), partial(bounds.renyi, alpha=0.4), 2, 2),
    (
        RenyiConfig(alpha=-1.0, gradient="dreg"),
        partial(bounds.renyi, alpha=-1.0),
        partial(bounds.renyi, alpha=-1.0),
        2,
        2,
    ),
    (RenyiConfig(alpha=1, gradient="dreg"), bounds.elbo, bounds.elbo, 2, 2),
]


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case[0]) + str(case[3]))
def test_expected_gradients_are_derivatives_of_the_bound(
    case: tuple[ObjectiveConfig, Bound, Bound, int, int], kl_weight: float
) -> None:
    objective, of_encoder, of_decoder, k, draws = case
    nodes = {1: 60, 2: 60, 3: 30, 4: 16}[draws]
    actual, value = gradient(objective, k, draws, nodes, kl_weight)
    expected = torch.cat(
        [
            slope(of, draws, nodes, kl_weight)[part]
            for of, part in ((of_encoder, slice(0, 2)), (of_decoder, slice(2, 3)))
        ]
    )
    assert torch.allclose(actual, expected, rtol=2e-4, atol=2e-4)
    eps, weights = hermite(draws, nodes)
    assert value == pytest.approx(float(weights @ of_decoder(log_w(START, eps, 1.0))), abs=1e-9)


@pytest.mark.parametrize("objective", [ElboConfig(gradient="stl"), IwaeConfig(gradient="dreg")], ids=repr)
def test_at_the_posterior_the_gradient_of_every_single_sample_is_zero(objective: ObjectiveConfig) -> None:
    vae = model()
    m, s = (v.clone().requires_grad_() for v in posterior(vae))
    eps, _ = hermite(2, 6)
    actual = objective.estimate(BatchPosteriors(vae, images(36), NodeGaussian(m, s, eps), 2))
    assert torch.allclose(actual.value, torch.full((36,), log_evidence(vae), dtype=torch.float64), atol=1e-9)
    for row in range(0, 36, 7):
        for value in torch.autograd.grad(actual.surrogate[row], [m, s], retain_graph=True):
            assert float(value.abs().max()) < 1e-10
    noisy = type(objective)().estimate(BatchPosteriors(vae, images(36), NodeGaussian(m, s, eps), 2))
    assert isinstance(objective, ElboConfig) or float(torch.autograd.grad(noisy.surrogate[0], s)[0].abs()) > 0.1


def signal_to_noise(objective: ObjectiveConfig, k: int, vae: VAE) -> float:
    """|mean| / standard deviation of d surrogate / d m over many draws."""
    eps = torch.randn(k, 4000, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    m = torch.full((4000, 1), -0.1, dtype=torch.float64, requires_grad=True)
    q = NodeGaussian(m, torch.full_like(m.detach(), 0.8), eps)
    objective.estimate(BatchPosteriors(vae, images(4000), q, k)).surrogate.sum().backward()
    assert m.grad is not None
    return float(m.grad.mean().abs() / m.grad.std())


def test_the_signal_of_the_standard_gradient_fades_with_k_and_that_of_dreg_grows() -> None:
    """Rainforth et al. 2018: the signal-to-noise ratio goes as K^(-1/2); Tucker et al. 2019: as K^(1/2)."""
    vae = model()
    plain = [signal_to_noise(IwaeConfig(), k, vae) for k in (2, 256)]
    doubly = [signal_to_noise(IwaeConfig(gradient="dreg"), k, vae) for k in (2, 256)]
    assert plain[1] < 0.5 * plain[0]
    assert doubly[1] > 3.0 * doubly[0]
    assert doubly[1] > 20 * plain[1]


def stratified(k: int) -> Tensor:
    """k noises at the midpoints of k equally probable intervals, (k, 1)."""
    return torch.special.ndtri((torch.arange(k, dtype=torch.float64) + 0.5) / k).unsqueeze(1)


def log_integral(point: Tensor, power: float) -> float:
    """log of the integral of q^(1 - power) p(x, z)^power."""
    z = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    m, s, _ = point
    weights = log_w(point, (z - m) / s, 1.0)
    log_q = normal(z, m, s)
    return float(torch.logsumexp(log_q + power * weights, 0) + (z[1] - z[0]).log())


def cubo_slope(order: float, index: int) -> float:
    step = torch.zeros(3, dtype=torch.float64)
    step[index] = 1e-4
    return (log_integral(START + step, order) - log_integral(START - step, order)) / (order * 2e-4)


@pytest.mark.parametrize("order", [1.5, 2.0])
def test_the_encoder_descends_on_the_cubo_and_the_decoder_climbs_to_the_evidence(order: float) -> None:
    vae = model()
    m, s = START[0:1].clone().requires_grad_(), START[1:2].clone().requires_grad_()
    actual = CuboConfig(order=order).estimate(
        BatchPosteriors(vae, images(1), NodeGaussian(m, s, stratified(100_000)), 100_000)
    )
    actual.surrogate.sum().backward()
    grads = [m.grad, s.grad, next(vae.decoder.parameters()).grad]
    values = [float(g.flatten()[0]) for g in grads if g is not None]
    assert values[0] == pytest.approx(-cubo_slope(order, 0), rel=0.01)
    assert values[1] == pytest.approx(-cubo_slope(order, 1), rel=0.02)
    assert values[2] == pytest.approx(cubo_slope(1.0, 2), rel=0.01)
    assert float(actual.value) == pytest.approx(log_integral(START, order) / order, abs=2e-3)
    assert float(actual.value) > log_evidence(vae)


def test_one_sample_says_nothing_about_the_chi_divergence() -> None:
    """At K = 1 the mean gradient in the encoder is zero, not that of minus the ELBO."""
    eps, weights = hermite(1, 60)
    vae = model()
    m, s = START[0:1].clone().requires_grad_(), START[1:2].clone().requires_grad_()
    actual = CuboConfig().estimate(BatchPosteriors(vae, images(60), NodeGaussian(m, s, eps), 1))
    for value in torch.autograd.grad(weights @ actual.surrogate, [m, s]):
        assert float(value.abs()) < 1e-9
