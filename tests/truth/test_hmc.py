"""HMC against the mechanics it integrates and the linear-Gaussian posterior it samples."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.progress import Cancelled, Progress, silent
from gpvae_core.truth.by_image import infer_each, log_joint_by_image
from gpvae_core.truth.hmc import (
    TARGET_ACCEPTANCE,
    Target,
    _leapfrog_by_length,
    _lengths,
    adapted,
    evaluate,
    leapfrog,
    transition,
)
from gpvae_core.truth.many_posteriors import many_posteriors
from gpvae_core.truth.noise import image_generators
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples, chains_from
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

MODEL = LinearGaussianVAE.make(3, (1, 4, 4), 0.7)
ONE = torch.ones(1, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quartic(z: Tensor) -> Tensor:
    return -(z**4).sum(-1) / 4 - 0.3 * z.prod(-1)


def normal(z: Tensor) -> Tensor:
    return -0.5 * z.square().sum(-1)


def state(chains: int = 5, instances: int = 2, d: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, momenta and one factor for each instance, float64."""
    z, p = torch.randn(2, chains, instances, d, generator=seeded(), dtype=torch.float64)
    scale = torch.randn(instances, d, d, generator=seeded(1), dtype=torch.float64).tril()
    scale.diagonal(dim1=-2, dim2=-1).abs_().add_(0.3)
    return z, p, scale


def test_values_and_gradients_of_each_density_under_no_grad() -> None:
    z, _, _ = state()
    with torch.no_grad():
        point = evaluate((quartic, normal), z)
    torch.testing.assert_close(point.values, torch.stack([quartic(z), normal(z)]))
    torch.testing.assert_close(point.gradients[1], -z)
    h = 1e-6
    moved = z.clone()
    moved[..., 0] += h
    torch.testing.assert_close(point.gradients[0][..., 0], (quartic(moved) - quartic(z)) / h, atol=1e-4, rtol=1e-4)


def test_leapfrog_comes_back_when_the_momentum_is_reversed() -> None:
    z, p, scale = state()
    step = torch.tensor([0.05, 0.1], dtype=torch.float64)
    start = evaluate((quartic,), z)
    end, q = leapfrog(Target((quartic,), ONE, scale), start, p, step, 20)
    back, r = leapfrog(Target((quartic,), ONE, scale), end, -q, step, 20)
    assert (end.z - z).abs().max() > 0.1
    torch.testing.assert_close(back.z, z)
    torch.testing.assert_close(-r, p)


def test_the_energy_error_is_of_second_order() -> None:
    z, p, scale = state()
    start = evaluate((quartic,), z)

    def error(step: float) -> float:
        sizes = torch.full((2,), step, dtype=torch.float64)
        end, q = leapfrog(Target((quartic,), ONE, scale), start, p, sizes, round(0.8 / step))
        energy = 0.5 * (q.square() - p.square()).sum(-1) - (end.values[0] - start.values[0])
        return float(energy.abs().mean())

    for step in (0.02, 0.01):
        assert error(step) / error(step / 2) == pytest.approx(4.0, rel=0.1)


def test_leapfrog_preserves_volume() -> None:
    """|det d(z, p)' / d(z, p)| of one instance, by finite difference, in z and the momentum of z, is 1."""
    z, p, scale = state(1, 1, 2)

    def flow(v: Tensor) -> Tensor:
        point = evaluate((quartic,), v[None, None, :2])
        end, q = leapfrog(Target((quartic,), ONE, scale), point, v[None, None, 2:], torch.full((1,), 0.2).double(), 5)
        return torch.cat([end.z.flatten(), q.flatten()])

    at, h = torch.cat([z.flatten(), p.flatten()]), 1e-5
    columns = [(flow(at + h * e) - flow(at - h * e)) / (2 * h) for e in torch.eye(4, dtype=torch.float64)]
    assert torch.linalg.det(torch.stack(columns, 1)).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.25, 0.75]])
def test_transitions_leave_a_mixture_of_densities_invariant(weights: list[float]) -> None:
    """f = N(0, 1)^c0 N(0, 1/4)^c1 is normal with precision c0 + 4 c1; chains that start in it stay in it."""
    precision = weights[0] + 4 * weights[1]
    densities = (normal, lambda z: 4 * normal(z))
    z = torch.randn(20_000, 1, 2, generator=seeded(), dtype=torch.float64) / math.sqrt(precision)
    point, coefficients = evaluate(densities, z), torch.tensor(weights, dtype=torch.float64)
    step, scale = torch.full((1,), 1.4 / math.sqrt(precision)).double(), torch.eye(2, dtype=torch.float64)[None]
    generator, rates = seeded(7), []
    for t in range(5):
        point, rate = transition(Target(densities, coefficients, scale), point, step, 3, generator, t)
        rates.append(float(rate))
    assert 0.1 < min(rates) < 0.95, "there must be something to reject"
    assert point.z.var().item() == pytest.approx(1 / precision, rel=0.03)
    assert (point.z**4).mean().item() == pytest.approx(3 / precision**2, rel=0.06)
    torch.testing.assert_close(point.values[0], normal(point.z))


def test_a_proposal_that_is_not_finite_is_rejected() -> None:
    def walled(z: Tensor) -> Tensor:
        return torch.where(z[..., 0] > 0, normal(z), torch.full_like(z[..., 0], math.nan))

    point = evaluate((walled,), torch.full((50, 1, 2), 0.1, dtype=torch.float64))
    for seed in range(5):
        target = Target((walled,), ONE, torch.eye(2)[None].double())
        point, rate = transition(target, point, torch.ones(1).double(), 2, seeded(seed), seed)
        assert 0 < float(rate) < 1
    assert (point.z[..., 0] > 0).all()
    assert point.values.isfinite().all()


@pytest.mark.parametrize("gradient", [0.0, math.nan])
def test_a_start_without_density_is_left_for_any_finite_point_and_never_for_an_infinite_one(gradient: float) -> None:
    def island(z: Tensor) -> Tensor:
        nowhere = torch.full_like(z[..., 0], -math.inf) + gradient * z[..., 0]
        spike = torch.where(z[..., 0] > 0, math.inf, normal(z))
        return torch.where((z - 0.1).norm(dim=-1) < 1e-9, nowhere, spike)

    point = evaluate((island,), torch.full((400, 1, 2), 0.1, dtype=torch.float64))
    assert not bool(point.values.isfinite().any())
    step, scale = torch.ones(1).double(), torch.eye(2)[None].double()
    end, rate = transition(Target((island,), ONE, scale), point, step, 1, seeded(), 0)
    left = (end.z != point.z).any(-1)
    assert float(left.double().mean()) == pytest.approx(0.46, abs=0.1)  # P(step p < -0.1)
    assert float(rate) == pytest.approx(float(left.double().mean()))
    assert (end.z[left][:, 0] <= 0).all()
    assert end.values[0][left].isfinite().all()


@pytest.mark.parametrize(("chains", "steps"), [(10, 5), (4, 10), (7, 3), (1, 4)])
def test_lengths_are_shared_out_evenly_and_each_chain_takes_its_own(chains: int, steps: int) -> None:
    counts = torch.zeros(steps)
    for iteration in range(2000):
        lengths = torch.tensor(_lengths(chains, steps, iteration))
        assert torch.equal(lengths, lengths.sort(descending=True).values)
        each = lengths.bincount(minlength=steps + 1)[1:]
        assert int(each.max() - each.min()) <= 1
        counts += each
    assert torch.allclose(counts / counts.sum(), torch.full((steps,), 1 / steps), rtol=0.12)
    z, p, scale = state(chains)
    target, start = Target((quartic,), ONE, scale), evaluate((quartic,), z)
    step = 0.05 + 0.05 * torch.rand(chains, 2, generator=seeded(), dtype=torch.float64)
    end, q = _leapfrog_by_length(target, start, p, step, lengths.tolist())
    for c, length in enumerate(lengths.tolist()):
        alone = slice(c, c + 1)
        expected, r = leapfrog(target, evaluate((quartic,), z[alone]), p[alone], step[alone], length)
        torch.testing.assert_close(end.z[alone], expected.z)
        torch.testing.assert_close(q[alone], r)
        torch.testing.assert_close(end.gradients[:, alone], expected.gradients)
        torch.testing.assert_close(end.values[:, alone], expected.values)


def test_chains_are_permuted_and_back() -> None:
    z, _, _ = state(6, 3)
    point = evaluate((quartic, normal), z)
    order = torch.rand(6, 3, generator=seeded()).argsort(0)
    permuted = point.permuted(order)
    torch.testing.assert_close(permuted.values[1], normal(permuted.z))
    torch.testing.assert_close(permuted.gradients[1], -permuted.z)
    assert torch.equal(permuted.z[2, 1], z[order[2, 1], 1])
    assert torch.equal(permuted.permuted(order.argsort(0)).z, z)


def test_instances_and_chains_have_errors_of_their_own() -> None:
    """From one point, how far the chains get: their mean varies as that of independent chains of independent images."""
    chains, instances = 10, 100
    point = evaluate((normal,), torch.zeros(chains, instances, 1, dtype=torch.float64))
    step, scale = torch.full((instances,), 0.3).double(), torch.ones(instances, 1, 1).double()
    target = Target((normal,), ONE, scale)
    far = torch.stack([transition(target, point, step, 5, seeded(s), s)[0].z[..., 0].square() for s in range(150)])
    means = far.mean(1)
    of_one, of_all, of_chains = means.var(0).mean(), means.mean(1).var(), far.var(1).mean() / chains
    assert float(of_one) == pytest.approx(float(of_chains), rel=0.2)
    assert float(of_all * instances / of_one) == pytest.approx(1.0, abs=0.4)


def test_step_sizes_follow_the_acceptance() -> None:
    step = adapted(torch.full((3,), 0.1), torch.tensor([0.2, TARGET_ACCEPTANCE, 0.9]), 0.5)
    assert step[0] < 0.1 < step[2]
    assert step[1].item() == pytest.approx(0.1)


def from_points(
    vae: VAE, x: Tensor, begin: Tensor, settings: HMCSettings, seed: int = 0, progress: Progress = silent
) -> PosteriorSamples:
    """Samples of chains that begin in these latents and step in prior units."""
    units, generators = torch.eye(3).expand(len(x), 3, 3), image_generators(x, seed)
    with torch.no_grad():
        return chains_from(begin, log_joint_by_image(vae, x), units, settings, generators, progress)


def test_samples_have_the_posteriors_moments_and_diagnostics() -> None:
    x, vae = MODEL.images(3), MODEL.vae()
    with torch.no_grad():
        start = vae.encoder(x)
    units = torch.diag_embed(start.variance.sqrt())
    samples = many_posteriors(vae, x, partial(infer_each, vae), units, HMCSettings(warmup=150, draws=700, leapfrog=4))
    assert samples.z.shape == (700, 4, 3, 3)
    assert samples.mixed.all()
    assert (samples.r_hat < 1.01).all()
    torch.testing.assert_close(samples.acceptance, torch.full((3,), TARGET_ACCEPTANCE), atol=0.12, rtol=0)
    exact = MODEL.posterior_covariance
    error = torch.tensor(samples.ess).rsqrt() * exact.diagonal().sqrt()
    mean = samples.z.double().mean((0, 1))
    assert ((mean - MODEL.posterior_mean(x)).abs() < 4 * error).all()
    centred = (samples.z.double() - mean).reshape(-1, 3)
    covariance = centred.T @ centred / len(centred)
    torch.testing.assert_close(covariance, exact, atol=0.12 * float(exact.diagonal().max()), rtol=0)


def test_too_short_a_warm_up_from_afar_does_not_pass_for_mixed() -> None:
    x, vae = MODEL.images(2), MODEL.vae()
    far = DiagonalGaussian(torch.full((2, 3), 30.0), torch.full((2, 3), 10.0))
    begin = far.rsample_and_log_prob(4, seeded())[0]
    samples = from_points(vae, x, begin, HMCSettings(warmup=1, draws=8, leapfrog=1))
    assert not samples.mixed.any()
    assert (samples.r_hat.max(1) > 1.05).all()


def test_sampling_can_be_cancelled_and_repeats_with_the_generators() -> None:
    x, vae = MODEL.images(2), MODEL.vae()
    begin = vae.prior(x).rsample_and_log_prob(4, seeded(3))[0]
    settings = HMCSettings(warmup=5, draws=5, leapfrog=2)
    one, again, other = (from_points(vae, x, begin, settings, seed) for seed in (3, 3, 4))
    assert torch.equal(one.z, again.z)
    assert not torch.equal(one.z, other.z)
    assert all(p.grad is None for p in vae.parameters())

    def stop(done: int, total: int, what: str) -> None:
        assert (total, what) == (10, "samples of the true posterior")
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        from_points(vae, x, begin, settings, progress=stop)
