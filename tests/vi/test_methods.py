"""Methods of variational inference against conjugate updates, exact posteriors and each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.part_text import parse_part, part_text
from gpvae_core.vi.families.base import VI_FAMILIES
from gpvae_core.vi.families.gaussian import FullConfig, GaussianFamily, MeanFieldConfig
from gpvae_core.vi.inference import VISettings, infer
from gpvae_core.vi.methods.amortized import AmortizedInference, AmortizedVIConfig
from gpvae_core.vi.methods.base import VI_METHODS, Start
from gpvae_core.vi.methods.natural import natural_step
from gpvae_core.vi.methods.particles import median_width, stein_direction
from gpvae_core.vi.methods.stochastic import StochasticConfig, ordinary_gradient
from gpvae_core.vi.targets.bayesian_mixture import BayesianMixtureConfig
from gpvae_core.vi.targets.linear_gaussian import LinearGaussianConfig

M = torch.tensor([0.5, -0.5], dtype=torch.float64)


def log_normal(x: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """log N(x; 0, covariance) by the Cholesky factor."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, x)
    return float(-0.5 * white @ white - np.log(np.diag(factor)).sum() - 0.5 * len(x) * math.log(2 * math.pi))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_coordinate_ascent_of_a_mixture_against_all_assignments() -> None:
    """log p(x) minus the bound is KL(q(mu) q(c) || p(mu, c|x)), summed over 2^5 assignments."""
    trace = infer("bayesian-mixture:5,prior_std=2", "cavi", steps=30)
    target, q = BayesianMixtureConfig(n=5, prior_std=2.0).build(), trace.snapshots[-1].density
    assert isinstance(q, DiagonalGaussian)
    x, phi = target.data.numpy(), target.assignments(q).numpy()
    m, s = q.m[0].numpy(), q.s[0].numpy()
    log_px, parts, kl = 0.0, [], 0.0
    for c in itertools.product(range(2), repeat=5):
        member = np.eye(2)[list(c)]
        log_joint = log_normal(x, 4.0 * member @ member.T + np.eye(5)) - 5 * math.log(2)
        precision = 0.25 + member.sum(0)
        mean, variance = member.T @ x / precision, 1 / precision
        kl_mu = 0.5 * ((s**2 + (m - mean) ** 2) / variance - 1 - np.log(s**2 / variance)).sum()
        q_c = np.prod(phi[np.arange(5), list(c)])
        kl += q_c * (math.log(q_c) - log_joint + kl_mu)
        parts.append(log_joint)
    log_px = float(np.logaddexp.reduce(parts))
    assert log_px - float(trace.snapshots[-1].bound or math.nan) == pytest.approx(kl + log_px, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "family"),
    [
        ("bayesian-mixture", "mean-field"), ("bayesian-mixture:12,components=3", "full"),
        ("linear-gaussian", "mean-field"), ("linear-gaussian,d=5", "block:2"), ("linear-gaussian,d=5", "full"),
    ],
)  # fmt: skip
def test_the_bound_of_coordinate_ascent_never_falls(target: str, family: str) -> None:
    trace = infer(target, "cavi", family, steps=40)
    bounds = [float(snapshot.bound or math.nan) for snapshot in trace.snapshots]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(bounds))
    assert bounds[-1] > bounds[0]
    assert bounds[-1] - bounds[-2] < 1e-3


def test_one_pass_with_a_full_covariance_is_the_exact_posterior() -> None:
    trace = infer("linear-gaussian,d=4", "cavi", "full", steps=1)
    q, target = trace.snapshots[1].density, LinearGaussianConfig(d=4).build()
    assert q is not None
    exact = target.posterior()
    assert torch.allclose(q.mean, exact.mean, atol=1e-10)
    assert torch.allclose(q.as_gaussian().lower_factor(), exact.chol, atol=1e-10)  # pyright: ignore[reportOptionalMemberAccess]
    assert trace.snapshots[1].bound == pytest.approx(target.log_evidence(), abs=1e-9)


def test_mean_field_finds_the_mean_and_the_inverse_of_the_precisions() -> None:
    """The best factors of a Gaussian have its mean, and variances 1 / P_jj below its own (Bishop 2006, 10.1.2)."""
    trace = infer("linear-gaussian", "cavi", "mean-field", steps=300)
    exact, q = LinearGaussianConfig().build().posterior(), trace.snapshots[-1].density
    assert isinstance(q, DiagonalGaussian)
    precision = torch.cholesky_inverse(exact.chol[0]).diagonal()
    assert torch.allclose(q.mean, exact.mean, atol=1e-6)
    assert torch.allclose(q.variance[0], 1 / precision)
    assert bool((q.variance < 0.8 * exact.variance).all())


def test_a_natural_step_of_size_one_is_the_conjugate_update_of_the_mixture() -> None:
    """Against the updates of Blei et al. 2017 (eq. 34), written out."""
    target = BayesianMixtureConfig().build()
    family = MeanFieldConfig().build(M, 0.7, 0)
    assert isinstance(family, GaussianFamily)
    q, x = family.density(), target.data
    logits = x[:, None] * q.mean[0] - 0.5 * (q.mean[0].square() + q.variance[0])
    phi = logits.softmax(-1)
    precision = 1 / 9 + phi.sum(0)
    natural_step(family, *target.expected_derivatives(q, None, generator()), 1.0, torch.ones(2, dtype=torch.bool))
    assert torch.allclose(family.density().mean[0], (phi * x[:, None]).sum(0) / precision)
    assert torch.allclose(family.density().variance[0], 1 / precision)


def test_steps_of_batches_average_to_that_of_all_data() -> None:
    target = BayesianMixtureConfig().build()
    q = MeanFieldConfig().build(M, 0.7, 0).density()
    whole = target.expected_derivatives(q, None, generator())  # pyright: ignore[reportArgumentType]
    parts = [target.expected_derivatives(q, torch.tensor([i]), generator()) for i in range(target.n)]  # pyright: ignore[reportArgumentType]
    for k in (0, 1):
        assert torch.allclose(torch.stack([part[k] for part in parts]).mean(0), whole[k])


@pytest.mark.parametrize("family", [MeanFieldConfig(), FullConfig()])
def test_the_ordinary_gradient_is_that_of_the_bound(family: MeanFieldConfig | FullConfig) -> None:
    target = LinearGaussianConfig().build()
    built = family.build(M, 0.7, 0)
    assert isinstance(built, GaussianFamily)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(1), dtype=torch.float64)
    found = ordinary_gradient(built, *target.expected_derivatives(built.density(), None, generator()))
    bound = target.bound(built.density())
    parts = torch.autograd.grad(bound, tuple(built.parameters()))
    assert torch.allclose(found, torch.cat([part.reshape(-1) for part in parts]))


def test_the_natural_gradient_is_the_ordinary_one_by_the_inverse_fisher_information() -> None:
    """The Fisher information of N(m, s^2) in (m, log s) is Diag(1 / s^2, 2)."""
    target, rho = LinearGaussianConfig().build(), 1e-7
    family = MeanFieldConfig().build(M, 0.7, 0)
    assert isinstance(family, GaussianFamily)
    derivatives = target.expected_derivatives(family.density(), None, generator())
    ordinary = ordinary_gradient(family, *derivatives)
    before = torch.cat([family.m, family.log_s]).detach().clone()
    natural_step(family, *derivatives, rho, torch.ones(2, dtype=torch.bool))
    moved = (torch.cat([family.m, family.log_s]).detach() - before) / rho
    fisher = torch.cat([(-2 * before[2:]).exp(), torch.full((2,), 2.0, dtype=torch.float64)])
    assert torch.allclose(moved, ordinary / fisher, rtol=1e-5)


def test_step_sizes_fall_as_robbins_and_monro_ask() -> None:
    settings = StochasticConfig(rate=0.5, delay=4, forgetting=0.7)
    sizes = [settings.step_size(t) for t in (0, 10, 1000)]
    assert sizes == pytest.approx([0.5, 0.5 * (5 / 15) ** 0.7, 0.5 * (5 / 1005) ** 0.7])
    assert StochasticConfig(rate=3.0).step_size(0) == 1.0  # a natural step beyond 1 would leave the Gaussians
    assert StochasticConfig(rate=3.0, gradient="ordinary").step_size(0) == 3.0


@pytest.mark.parametrize("gradient", ["natural", "ordinary,rate=0.02"])
def test_stochastic_inference_ends_near_coordinate_ascent(gradient: str) -> None:
    best = float(infer("bayesian-mixture", "cavi", steps=60).snapshots[-1].bound or math.nan)
    trace = infer("bayesian-mixture", f"svi:10,gradient={gradient}", steps=400)
    assert best - 0.5 < float(trace.snapshots[-1].bound or math.nan) <= best + 1e-9


def test_natural_steps_reach_the_best_gaussian_of_a_target_that_is_not_conjugate() -> None:
    found = infer("logistic-regression", "svi:0,rate=0.5", "full", steps=80).kl(-1)
    assert found == pytest.approx(infer("logistic-regression", "black-box:64", "full", steps=500).kl(-1), abs=0.02)


def test_a_step_that_would_leave_the_gaussians_is_not_taken() -> None:
    family = FullConfig().build(M, 1.0, 0)
    assert isinstance(family, GaussianFamily)
    before = family.density().detached()
    assert not natural_step(family, M, 5 * torch.eye(2).double(), 0.9, torch.ones(2, dtype=torch.bool))
    assert torch.equal(family.density().mean, before.mean)


def test_a_mixture_covers_what_one_gaussian_cannot() -> None:
    one = infer("mixture", "black-box:32", "full", steps=150)
    three = infer("mixture", "black-box:32", "mixture:3", steps=200)
    assert three.kl(-1) < 0.05 < 0.3 < one.kl(-1)


def test_the_divergence_decides_between_a_mode_and_the_mass() -> None:
    """Reverse KL takes one mode; forward KL ends with the moments of the target."""
    seeking = infer("mixture", "black-box:64", "full", steps=300, start=(1.8, 1.0)).snapshots[-1].density
    covering = infer(
        "mixture", "black-box:512,divergence=forward-kl", "full", steps=400, start=(0.0, 0.0), start_sd=2.0
    )
    q, p = covering.snapshots[-1].density, covering.posterior
    assert seeking is not None
    assert q is not None
    assert seeking.mean[0].tolist() == pytest.approx([1.8, 1.0], abs=0.15)
    assert q.mean[0].tolist() == pytest.approx(p.mean, abs=0.25)
    assert q.variance[0].tolist() == pytest.approx(p.covariance.diagonal(), rel=0.25)


def test_amortized_inference_learns_the_posterior_of_every_data_set() -> None:
    """The posterior mean of a linear-Gaussian model is linear in the data, and its covariance is the same for all."""
    target = LinearGaussianConfig(n=6).build()
    start = Start(target, FullConfig(), M, 1.0, 0)
    inference = AmortizedVIConfig(data_sets=200, rate=0.02).begin(start)
    assert isinstance(inference, AmortizedInference)
    before = inference.density()
    assert torch.equal(before.mean[0], M)
    for _ in range(400):
        inference.step()
    source, gaps = generator(5), []
    for _ in range(5):
        other = target.redrawn(source)
        gaps.append(float(other.log_evidence() - other.bound(inference.of(other))))  # pyright: ignore[reportArgumentType]
    assert max(gaps) < 0.35
    assert target.log_evidence() - float(inference.bound()) < 0.35


def test_one_particle_climbs_to_the_mode_and_many_have_the_moments() -> None:
    exact = LinearGaussianConfig().build().posterior()
    many = infer("linear-gaussian", "stein-particles:100", steps=400).snapshots[-1].particles
    assert many is not None
    assert many.mean(0).tolist() == pytest.approx(exact.mean[0].tolist(), abs=0.05)
    assert many.std(0).tolist() == pytest.approx(exact.variance[0].sqrt().tolist(), rel=0.25)


def test_the_stein_direction_is_a_sum_of_two_terms() -> None:
    """Against loops, with the kernel differentiated by autograd."""
    z = torch.randn(6, 2, generator=generator()).double()
    score, width = -z, median_width(z)
    expected = torch.zeros_like(z)
    for i in range(6):
        for j in range(6):
            leaf = z[j].clone().requires_grad_()
            k = (-0.5 * (leaf - z[i]).square().sum() / width**2).exp()
            (gradient,) = torch.autograd.grad(k, leaf)
            expected[i] += (k.detach() * score[j] + gradient) / 6
    assert torch.allclose(stein_direction(z, score, width), expected)
    squares = torch.pdist(z).square()
    assert width == pytest.approx(math.sqrt(float(squares.median()) / (2 * math.log(7))))


def test_inference_is_the_same_with_the_same_seed() -> None:
    for method in ("svi:5", "black-box:8,gradient=score", "stein-particles:10"):
        one, two, other = (infer("bayesian-mixture", method, steps=5, seed=seed) for seed in (0, 0, 1))
        for a, b in ((one, two),):
            assert a.snapshots[-1].bound == b.snapshots[-1].bound
        last = [trace.snapshots[-1] for trace in (one, other)]
        states = [s.particles if s.density is None else s.density.mean for s in last]
        assert not torch.equal(states[0], states[1])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("banana", "cavi"), "coordinate ascent wants a target whose complete conditionals are Gaussian"),
        (
            ("bayesian-mixture", "cavi", "mixture:2"),
            r"wants a Gaussian family \(mean-field, block or full\), got 'mixture'",
        ),
        (("banana", "amortized"), "amortized inference wants a target with data"),
        (("banana", "black-box:8,gradient=score-rb", "full"), "'score-rb' wants the family mean-field"),
        (("banana", "black-box:8,divergence=chi:2,gradient=stl"), "gradient=stl has no effect with divergence=chi:2"),
        (("banana", "black-box:2,gradient=score-cv"), "a control variate wants at least 3 samples, got 2"),
        (("banana", "black-box:1,divergence=stein"), "the Stein discrepancy wants at least 2 samples, got 1"),
        (("banana", "black-box:8,divergence=stein", "mixture:2"), "wants a Gaussian family"),
        (("banana", "black-box:8,divergence=renyi:1"), "alpha=1 is a limit"),
        (("banana", "black-bocks"), "did you mean 'black-box'"),
        (("banana", "svi:5,gradient=natral"), "'natural' or 'ordinary'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(arguments: tuple[str, ...], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        infer(*arguments, steps=1)  # pyright: ignore[reportArgumentType]


def test_a_start_has_at_most_one_value_for_each_latent() -> None:
    assert infer("linear-gaussian,d=4", steps=0, start=(1.0, 2.0)).snapshots[0].density.mean.tolist() == [[1, 2, 2, 2]]  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(UserError, match="wanted a start with 1 to 2 values, one for each latent, got 3"):
        infer(start=(0.0, 0.0, 0.0))


@pytest.mark.parametrize(("registry", "text"), [(VI_FAMILIES, "block:3"), (VI_FAMILIES, "mixture:2")] + [
    (VI_METHODS, text)
    for text in (
        "cavi", "svi:5", "svi:0,gradient=ordinary,rate=0.1", "black-box:16,divergence=renyi:0.5",
        "black-box:64,gradient=score-cv", "amortized:200,hidden=4", "stein-particles:50",
    )
])  # fmt: skip
def test_a_text_stands_for_a_method_and_a_family(registry: object, text: str) -> None:
    assert part_text(parse_part(text, registry)) == text  # pyright: ignore[reportArgumentType]


def test_settings_convert_to_json_and_back() -> None:
    settings = VISettings(target="banana", method="black-box:64,divergence=f:hellinger", family="full")  # pyright: ignore[reportArgumentType]
    assert part_text(settings.method) == "black-box:64,divergence=f:hellinger"
    assert part_text(settings.target) == "banana"


@pytest.mark.parametrize("method", ["cavi", "svi:5", "black-box:8", "amortized:4,batch=2", "stein-particles:4"])
def test_a_trace_keeps_each_step_as_it_was(method: str) -> None:
    whole, first = (infer("bayesian-mixture:12", method, steps=steps) for steps in (3, 0))
    kept, alone = whole.snapshots[0], first.snapshots[0]
    assert kept.bound == alone.bound
    if kept.density is None or alone.density is None:
        assert kept.particles is not None
        assert alone.particles is not None
        torch.testing.assert_close(kept.particles, alone.particles)
    else:
        torch.testing.assert_close(kept.density.mean, alone.density.mean)
        torch.testing.assert_close(kept.density.variance, alone.density.variance)
