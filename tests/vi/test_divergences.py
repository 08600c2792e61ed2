"""Divergences against quadrature in one and two dimensions, their gradients against differences, and their limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from gpvae_core.bounds import cubo, elbo, iwae, renyi
from gpvae_core.part_text import parse_part
from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence
from gpvae_core.vi.divergences.stein import SteinConfig, posterior_score, stein_kernel
from gpvae_core.vi.families.base import VI_FAMILIES, VIFamily
from gpvae_core.vi.gradients.base import Drawn
from gpvae_core.vi.targets.base import TARGETS, VITarget
from gpvae_core.vi.targets.linear_gaussian import LinearGaussianConfig

Array = NDArray[np.float64]
Formula = Callable[[Array, Array], Array]
# Each divergence as the integral of a function of p and q, then a function of the integral.
FORMULAS: dict[str, tuple[Formula, Callable[[float], float]]] = {
    "reverse-kl": (lambda p, q: q * np.log(q / p), float),
    "forward-kl": (lambda p, q: p * np.log(p / q), float),
    "chi:2": (lambda p, q: p**2 / q, lambda v: 0.5 * math.log(v)),
    "chi:1.5": (lambda p, q: p**1.5 / q**0.5, lambda v: math.log(v) / 1.5),
    "renyi:0.5": (lambda p, q: np.sqrt(p * q), lambda v: -2 * math.log(v)),
    "renyi:2": (lambda p, q: q**2 / p, math.log),
    "renyi:-0.5": (lambda p, q: p**1.5 / q**0.5, lambda v: math.log(v) / 1.5),
    "f:kl": (lambda p, q: q * np.log(q / p), float),
    "f:forward-kl": (lambda p, q: p * np.log(p / q), float),
    "f:hellinger": (lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2, float),
    "f:jensen-shannon": (
        lambda p, q: 0.5 * (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))),
        float,
    ),
    "f:pearson": (lambda p, q: (q - p) ** 2 / p, float),
    "f:neyman": (lambda p, q: (q - p) ** 2 / q, float),
}


def weights(text: str) -> WeightDivergence:
    divergence = parse_part(text, DIVERGENCES)
    assert isinstance(divergence, WeightDivergence)
    return divergence


def test_every_divergence_has_a_formula_here() -> None:
    assert {text.partition(":")[0] for text in FORMULAS} | {"stein"} == set(DIVERGENCES.summaries())


@pytest.mark.parametrize("text", FORMULAS)
def test_values_in_one_dimension_against_quadrature(text: str) -> None:
    """Between N(0.3, 1) and N(0, 1.1^2), by scipy."""
    integrand, finish = FORMULAS[text]
    expected = finish(quad(lambda z: float(integrand(norm.pdf(z, 0.3), norm.pdf(z, 0, 1.1))), -12, 12)[0])
    z = np.linspace(-12, 12, 4001)
    log_p, log_q = torch.from_numpy(norm.logpdf(z, 0.3)), torch.from_numpy(norm.logpdf(z, 0, 1.1))
    value = weights(text).value(log_p - log_q, log_q + math.log(z[1] - z[0]))
    assert float(value) == pytest.approx(expected, rel=1e-6)


def on_grid(target: VITarget, family: VIFamily) -> tuple[Tensor, Tensor, Tensor]:
    """log p (normalised), log q and log cell area of the nodes of a grid."""
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    log_cell = 2 * math.log(16 / 400)
    log_p = target.log_density(z)
    return log_p - log_p.logsumexp(0) - log_cell, family.density().log_prob(z[:, None])[:, 0], torch.tensor(log_cell)


def make(target: str = "mixture", family: str = "full") -> tuple[VITarget, VIFamily]:
    m = torch.tensor([0.4, 0.2], dtype=torch.float64)
    return parse_part(target, TARGETS).build(), parse_part(family, VI_FAMILIES).build(m, 1.6, 0)


@pytest.mark.parametrize("text", FORMULAS)
def test_values_and_samples_in_two_dimensions_against_quadrature(text: str) -> None:
    target, family = make()
    log_p, log_q, log_cell = (part.detach() for part in on_grid(target, family))
    integrand, finish = FORMULAS[text]
    p, q = log_p.exp().numpy(), log_q.exp().numpy()
    expected = finish(float(np.nansum(np.where(p > 1e-300, integrand(p, q), 0.0)) * math.exp(float(log_cell))))
    if text not in ("renyi:2", "f:pearson"):  # whose integrands are q^2 / p far out, where p is rounded to zero
        assert float(weights(text).value(log_p - log_q, log_q + log_cell)) == pytest.approx(expected, rel=1e-4)
        draw = Drawn(target, family, 40_000, torch.Generator().manual_seed(0))
        assert weights(text).estimate(draw).value == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("text", [text for text in FORMULAS if text not in ("renyi:2", "f:pearson")])
def test_gradients_against_differences_of_the_quadrature(text: str) -> None:
    target, family = make()
    divergence = weights(text)

    def value() -> float:
        with torch.no_grad():
            log_p, log_q, log_cell = on_grid(target, family)
            return float(divergence.value(log_p - log_q, log_q + log_cell))

    log_p, log_q, log_cell = on_grid(target, family)
    mass = (log_q + log_cell).detach()
    c = divergence.coefficient((log_p - log_q).detach(), mass)
    surrogate = (mass.exp() * c * log_q).sum()
    found = torch.cat([part.reshape(-1) for part in torch.autograd.grad(surrogate, tuple(family.parameters()))])
    differences = []
    for parameter in family.parameters():
        for at in range(parameter.numel()):
            with torch.no_grad():
                parameter.view(-1)[at] += 1e-5
                up = value()
                parameter.view(-1)[at] -= 2e-5
                differences.append((up - value()) / 2e-5)
                parameter.view(-1)[at] += 1e-5
    assert found.tolist() == pytest.approx(differences, rel=1e-4, abs=1e-5)
    # and the estimate from samples has this mean
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([divergence.estimate(Drawn(target, family, 2000, generator)).gradient for _ in range(40)])
    error = drawn.std(0) / 40**0.5
    assert bool(((drawn.mean(0) - found).abs() < 4.5 * error + 0.03 * found.abs().max()).all())


def test_limits_of_alpha() -> None:
    target, family = make(target="correlated")
    log_p, log_q, log_cell = (part.detach() for part in on_grid(target, family))
    log_w, mass = log_p - log_q, log_q + log_cell
    near, kl = weights("renyi:0.9999").value(log_w, mass), weights("reverse-kl").value(log_w, mass)
    assert float(near) == pytest.approx(float(kl), rel=1e-3)
    # CUBO_n tends to the ELBO as n tends to 0, and chi of order n is Renyi's of alpha = 1 - n.
    assert float(weights("chi:1.5").value(log_w, mass)) == pytest.approx(
        float(weights("renyi:-0.5").value(log_w, mass))
    )
    samples = torch.randn(200, 1, generator=torch.Generator().manual_seed(0)).double()
    assert float(cubo(samples, 1e-6)[0]) == pytest.approx(float(elbo(samples)[0]), abs=1e-5)


def test_bounds_enclose_the_evidence() -> None:
    """ELBO <= VR 0.5 <= log p(x) <= VR -1 = CUBO_2, and IWAE's bias falls with K (Nowozin 2018: as var / 2 K)."""
    target = LinearGaussianConfig().build()
    family = parse_part("full", VI_FAMILIES).build(target.posterior().mean[0], 0.9, 0)
    z, log_q = family.density().rsample_and_log_prob(400_000, torch.Generator().manual_seed(0))
    log_w = (target.log_density(z[:, 0]) - log_q[:, 0]).detach().unsqueeze(1)
    evidence = target.log_evidence()
    bounds = [float(elbo(log_w)), float(renyi(log_w, 0.5)), evidence, float(cubo(log_w, 2.0))]
    assert bounds == sorted(bounds)
    assert bounds[0] < evidence - 0.1
    bias = {k: evidence - float(iwae(log_w.reshape(k, -1)).mean()) for k in (1, 10, 100)}
    assert bias[1] > bias[10] > bias[100] > 0
    variance = float((log_w - evidence).exp().var())
    assert bias[100] == pytest.approx(variance / 200, rel=0.35)


def test_the_stein_kernel_has_mean_zero_under_the_posterior_for_every_point() -> None:
    target = LinearGaussianConfig().build()
    posterior = target.posterior()
    first = torch.tensor([[0.0, 0.0], [1.0, -2.0], [3.0, 1.0]], dtype=torch.float64)
    axis = torch.linspace(-4, 4, 201, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis) + posterior.mean
    mass = posterior.log_prob(z[:, None])[:, 0].exp() * 0.04**2
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-6)
    for point in first:
        both = torch.cat([point[None], z])
        score = posterior_score(target.log_density, both)
        row = _stein_row(both, score, 1.3)
        assert float((mass * row).sum()) == pytest.approx(0.0, abs=1e-6 * float(row.abs().max()))


def _stein_row(z: Tensor, score: Tensor, width: float) -> Tensor:
    """k_p of the first point with each of the others, in parts."""
    return torch.cat(
        [stein_kernel(torch.cat([z[:1], z[i : i + 400]]), torch.cat([score[:1], score[i : i + 400]]), width)[0, 1:]
         for i in range(1, len(z), 400)]
    )  # fmt: skip


def test_the_stein_kernel_is_that_of_its_formula() -> None:
    """With the kernel's derivatives by autograd."""
    z = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    score, width = torch.sin(z) - z, 0.8

    def k(a: Tensor, b: Tensor) -> Tensor:
        return (-0.5 * (a - b).square().sum() / width**2).exp()

    expected = torch.zeros(4, 4, dtype=torch.float64)
    for i in range(4):
        for j in range(4):
            a, b = z[i].clone().requires_grad_(), z[j].clone().requires_grad_()
            value = k(a, b)
            by_a, by_b = torch.autograd.grad(value, (a, b), create_graph=True)
            trace = sum(torch.autograd.grad(by_a[d], b, retain_graph=True)[0][d] for d in range(2))
            expected[i, j] = (score[i] @ score[j] * value + score[i] @ by_b + score[j] @ by_a + trace).detach()
    assert torch.allclose(stein_kernel(z, score, width), expected)


def test_the_stein_discrepancy_is_zero_at_the_posterior_and_positive_elsewhere() -> None:
    target = LinearGaussianConfig().build()
    divergence, generator = SteinConfig(), torch.Generator().manual_seed(0)

    def mean_and_error(shift: float) -> tuple[float, float]:
        values = []
        for _ in range(60):
            z = target.posterior().rsample_and_log_prob(100, generator)[0][:, 0] + shift
            values.append(float(divergence.squared(z, posterior_score(target.log_density, z))))
        return float(np.mean(values)), float(np.std(values) / 60**0.5)

    at, error = mean_and_error(0.0)
    away, error_away = mean_and_error(0.3)
    assert abs(at) < 4 * error
    assert away > 10 * error_away > 0


@pytest.mark.parametrize(
    ("generator", "wanted"),
    [
        ("kl", 900.0),
        ("forward-kl", 899.0 / math.e),
        ("hellinger", 1.0 + 1.0 / math.e),
        ("jensen-shannon", 0.5 * math.log(2.0) * (1.0 + 1.0 / math.e)),
    ],
)
def test_f_divergences_are_finite_where_one_density_all_but_vanishes(generator: str, wanted: float) -> None:
    """At one point p has mass 1/e and q all but none, at the other q has mass 1 and p all but none."""
    log_mass = torch.tensor([-900.0, 0.0], dtype=torch.float64)
    log_w = torch.tensor([900.0 - 1.0, -900.0], dtype=torch.float64)
    divergence = parse_part(f"f:{generator}", DIVERGENCES)
    assert isinstance(divergence, WeightDivergence)
    assert float(divergence.value(log_w, log_mass)) == pytest.approx(wanted, rel=1e-6)
