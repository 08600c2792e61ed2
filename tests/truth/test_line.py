"""Quadrature at d = 1: against the closed form, adaptive quadrature of another library, and itself on finer panels."""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2
from torch import Tensor, nn

from gpvae_core.data.synthetic import linear
from gpvae_core.data.synthetic.examples import EXAMPLES, draw
from gpvae_core.data.synthetic.surrogate import EVENT_SHAPE
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import BernoulliLikelihood, GaussianLikelihood
from gpvae_core.truth.line import MAX_ERROR, Line
from gpvae_core.vae import GenerativeModel


@functools.cache
def model(name: str) -> GenerativeModel:
    example = EXAMPLES[name]
    return GenerativeModel(example.decoder(), GaussianLikelihood(example.sigma, learn=False), 1, EVENT_SHAPE)


@functools.cache
def line(name: str) -> Line:
    return Line.build(model(name))


def points(name: str, n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(draw(name, n, seed).points)


def test_the_linear_gaussian_is_exact() -> None:
    x = points("linear-gaussian", 300)
    flat = x.flatten(1).double().numpy()
    moments = line("linear-gaussian").moments(x)
    mean, variance = linear.posterior(flat)
    np.testing.assert_allclose(line("linear-gaussian").log_px(x), linear.log_px(flat), atol=1e-6)
    np.testing.assert_allclose(moments.log_px, linear.log_px(flat), atol=1e-6)
    np.testing.assert_allclose(moments.mean, mean, atol=1e-6)
    np.testing.assert_allclose(moments.variance, variance, atol=1e-6)
    np.testing.assert_allclose(moments.entropy, 0.5 * math.log(2 * math.pi * math.e * variance), atol=1e-6)
    assert float(moments.negentropy.max()) < 1e-9


def by_quad(name: str, x: Tensor) -> float:
    """log p(x) by scipy's adaptive quadrature, between nodes a 32nd apart."""
    weights = [value.double().numpy() for value in model(name).decoder.state_dict().values()]
    layers = list(zip(weights[0::2], weights[1::2], strict=True))
    sigma, point = EXAMPLES[name].sigma, x.double().numpy().ravel()

    def log_joint(z: float) -> float:
        h = np.array([z])
        for weight, bias in layers[:-1]:
            h = np.maximum(weight @ h + bias, 0.0)
        off = point - (layers[-1][0] @ h + layers[-1][1])
        return -0.5 * (off @ off / sigma**2 + z * z) - 2.0 * math.log(sigma) - 1.5 * math.log(2.0 * math.pi)

    ends = np.linspace(-6.0, 6.0, 385)
    top = max(map(log_joint, ends))
    parts = [
        quad(lambda z: math.exp(log_joint(z) - top), *pair, epsabs=3e-9, epsrel=1e-7, limit=1000)[0]
        for pair in pairwise(ends)
    ]
    return top + math.log(math.fsum(parts))


@pytest.mark.parametrize("name", ["figure-8", "circle-fold", "clusters"])
def test_it_agrees_with_adaptive_quadrature_of_another_library(name: str) -> None:
    x = points(name, 2, seed=1)
    assert line(name).log_px(x).tolist() == pytest.approx([by_quad(name, one) for one in x], abs=1e-6)


@pytest.mark.parametrize("name", EXAMPLES)
def test_finer_panels_change_nothing(name: str) -> None:
    x = points(name, 300, seed=2)
    assert float(line(name).error(x).max()) < 1e-6
    assert float(line(name).end_mass(x).max()) < 1e-9
    assert bool(line(name).passed(x).all())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_posterior_is_a_density_with_these_moments(name: str) -> None:
    x = points(name, 20, seed=3)
    z, log_density = line(name).posterior(x)
    assert bool((z.diff() > 0).all())
    p = (log_density + line(name).log_weight).exp()
    moments = line(name).moments(x)
    torch.testing.assert_close(p.sum(1), torch.ones(20, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(p @ z, moments.mean)
    torch.testing.assert_close(p @ z.square() - moments.mean**2, moments.variance, atol=1e-9, rtol=1e-6)
    torch.testing.assert_close(-(p * log_density).sum(1), moments.entropy)


@pytest.mark.parametrize("name", ["figure-8", "clusters", "linear-gaussian"])
def test_the_density_holds_a_large_draw(name: str) -> None:
    """Pearson's chi-square of 20,000 points in cells of the plane; expected counts by the rectangle rule within."""
    x = draw(name, 20_000, 5).points.reshape(-1, 2).astype(np.float64)
    low, high = x.min(0) - 0.5, x.max(0) + 0.5
    cells, fine = 10, 10
    edges = [np.linspace(a, b, cells * fine + 1) for a, b in zip(low, high, strict=True)]
    middle = [0.5 * (e[1:] + e[:-1]) for e in edges]
    at = np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, *EVENT_SHAPE)
    area = np.prod([e[1] - e[0] for e in edges])
    p = line(name).log_px(torch.from_numpy(at)).exp().numpy() * area
    mass = p.reshape(cells, fine, cells, fine).sum((1, 3)).ravel()
    counts = np.histogram2d(*x.T, bins=[e[::fine] for e in edges])[0].ravel()
    used = mass * len(x) > 5
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    statistic = (np.square(counts - mass * len(x)) / (mass * len(x)))[used].sum()
    assert statistic < chi2.ppf(0.9999, used.sum() - 1)


def test_the_mean_log_density_of_the_linear_gaussian_is_minus_its_entropy() -> None:
    log_px = line("linear-gaussian").log_px(points("linear-gaussian", 20_000, seed=6))
    error = float(log_px.std()) / math.sqrt(len(log_px))
    assert float(log_px.mean()) == pytest.approx(-linear.entropy(), abs=4 * error)


def test_log_px_is_at_least_any_bound_by_importance_samples() -> None:
    """From 100,000 draws of the prior: an independent second way, within its noise."""
    x = points("circle", 5, seed=7)
    z = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        log_w = model("circle").log_likelihood(x, z[:, None].expand(-1, len(x), 1)).double()
    w = (log_w - log_w.max(0).values).exp()
    estimate = w.mean(0).log() + log_w.max(0).values
    se = w.std(0) / w.mean(0) / math.sqrt(len(z))
    assert bool(((line("circle").log_px(x) - estimate).abs() < 5 * se).all())


class Wavy(nn.Module):
    """A smooth, steep decoder to four logits."""

    def forward(self, z: Tensor) -> Tensor:
        rate = torch.tensor([1.0, 3.0, -5.0, 9.0], dtype=z.dtype)
        return (4.0 * torch.sin(rate * z + rate)).reshape(-1, 1, 2, 2)


def test_another_likelihood_sums_to_one_over_all_images() -> None:
    wavy = GenerativeModel(Wavy(), BernoulliLikelihood(), 1, (1, 2, 2))
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).reshape(16, 1, 2, 2)
    actual = Line.build(wavy)
    assert float(actual.log_px(every).exp().sum()) == pytest.approx(1.0, abs=1e-9)
    assert float(actual.error(every).max()) < 1e-9


class Stairs(nn.Module):
    """Not continuous: no panels are fine enough."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.where(z > 0.1234, 3.0, -3.0).to(z.dtype)[..., None, None]


def test_what_quadrature_cannot_do_is_told() -> None:
    x = torch.full((1, 1, 1, 1), 40.0)
    far = GenerativeModel(
        nn.Sequential(nn.Linear(1, 1), nn.Unflatten(1, (1, 1, 1))), GaussianLikelihood(1.0, False), 1, (1, 1, 1)
    )
    with torch.no_grad():
        far.decoder[0].weight.fill_(1.0)  # pyright: ignore
        far.decoder[0].bias.zero_()  # pyright: ignore
    actual = Line.build(far)
    assert float(actual.end_mass(x)) > 0.5  # the posterior is N(20, 1/2)
    assert not bool(actual.passed(x))
    stairs = Line.build(GenerativeModel(Stairs(), GaussianLikelihood(1.0, False), 1, (1, 1, 1)))
    assert float(stairs.error(torch.zeros(1, 1, 1, 1))) < MAX_ERROR  # the step is in a panel of no width
    with pytest.raises(UserError, match="wants 1 latent dimension, this model has 2"):
        Line.build(GenerativeModel(Wavy(), BernoulliLikelihood(), 2, (1, 2, 2)))


def test_the_model_is_left_as_it_is() -> None:
    before = {name: value.clone() for name, value in model("circle").state_dict().items()}
    Line.build(model("circle"))
    after = model("circle").state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == torch.float32 for name in before)
