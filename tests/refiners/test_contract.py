"""What every refiner keeps: paths, bases, gradients where they are asked for, rows by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.encoders.base import ENCODERS
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.base import Refiner
from gpvae_core.runs import load_run
from gpvae_core.vae import VAE
from tests.oracles import kl_to_standard_normal
from tests.refiners.scores import elbo

NET = FullyConnectedConfig(hidden=16)
SHAPE = (1, 8, 8)
REFINERS = ["svi:3", "svi:3,covariance=full", "semi_amortized:3,step_size=0.01", "laplace:3", "iterative:3"]


def build(text: str, d: int = 2) -> Refiner:
    """With weights that do something, where it has any."""
    torch.manual_seed(1)
    refiner = parse_refiner(text).build(NET, SHAPE, d)
    with torch.no_grad():
        for weight in refiner.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return refiner


def tensors(path: list[Posterior]) -> Tensor:
    return torch.stack([torch.stack([q.mean, q.variance]) for q in path])


@pytest.fixture(params=REFINERS)
def refiner(request: pytest.FixtureRequest) -> Refiner:
    return build(request.param)


def test_a_path_starts_at_the_encoders_answer(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    q = vae.encoder(x)
    path = refiner.path(vae, x, q)
    assert len(path) == 4
    assert path[0] is q
    assert all(step.base() is q for step in path)
    actual = tensors(list(path))
    assert bool(actual.isfinite().all())
    assert torch.all((actual[1:] - actual[:-1]).abs().amax((1, 2, 3)) > 1e-6)
    assert torch.equal(refiner(vae, x, q).mean, path[-1].mean)


def test_a_refined_answer_is_a_density(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    q = refiner(vae, x, vae.encoder(x))
    z, log_q = q.rsample_and_log_prob(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(q.log_prob(z), log_q, atol=1e-3)
    assert torch.all((z.mean(0) - q.mean).abs() < 0.03 * q.variance.sqrt())
    assert torch.allclose(z.var(0) / q.variance, torch.ones_like(q.variance), atol=0.05)
    sampled = (log_q + 0.5 * z.square().sum(-1)).mean(0) + torch.log(torch.tensor(2 * torch.pi))
    assert torch.allclose(kl_to_standard_normal(q), sampled, rtol=0.02, atol=0.02)
    assert torch.allclose(q.detached().log_prob(z), log_q, atol=1e-3)


def test_answers_are_the_same_with_and_without_gradients(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    vae.requires_grad_(True)
    through = refiner.path(vae, x, vae.encoder(x))
    with torch.no_grad():
        plain = refiner.path(vae, x, vae.encoder(x))
    assert torch.allclose(tensors(list(through)), tensors(list(plain)), atol=1e-5, rtol=1e-4)
    assert through[-1].mean.requires_grad
    assert not any(step.mean.requires_grad or step.variance.requires_grad for step in plain)


def test_answers_of_a_frozen_model_are_cut_off(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    """`load_run` gives such a model; its answers become arrays without a no_grad around the call."""
    path = refiner.requires_grad_(False).path(vae, x, vae.encoder(x))
    assert not any(step.mean.requires_grad for step in path)


@torch.no_grad()
def test_rows_are_independent_and_calls_repeatable(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    many = x.repeat(80, 1, 1, 1)  # more than are refined at once
    together = tensors(list(refiner.path(vae, many, vae.encoder(many))))
    alone = tensors(list(refiner.path(vae, x[2:3], vae.encoder(x[2:3]))))
    for row in (2, 2 + 40 * 79):
        assert torch.allclose(together[:, :, row], alone[:, :, 0], atol=1e-4, rtol=1e-3)
    again = tensors(list(refiner.path(vae, x[2:3], vae.encoder(x[2:3]))))
    assert torch.equal(again, alone)


@torch.no_grad()
def test_autocast_leaves_the_algebra_exact(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        q = refiner(vae, x, vae.encoder(x))
        z, log_q = q.rsample_and_log_prob(3, torch.Generator().manual_seed(0))
    assert (z.dtype, q.mean.dtype, q.variance.dtype) == (torch.float32,) * 3
    assert torch.allclose(q.log_prob(z), log_q, atol=1e-3)


def test_overflow_leaves_finite_answers(refiner: Refiner, vae: VAE, x: Tensor) -> None:
    with torch.no_grad():
        last = next(
            layer for layer in vae.decoder.modules() if isinstance(layer, nn.Linear) and layer.out_features == 64
        )
        last.weight.mul_(1e30)
        actual = tensors(list(refiner.path(vae, x, vae.encoder(x))))
    assert bool(actual.isfinite().all())


@torch.no_grad()
@pytest.mark.parametrize("text", ["svi:8", "svi:8,covariance=full"])
@pytest.mark.parametrize("kind", sorted(ENCODERS.summaries()))
def test_svi_refines_the_answers_of_any_encoder(kind: str, text: str, vae: VAE, x: Tensor) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS.get(kind)().build(NET, SHAPE, 2).eval()
    q = encoder(x)
    path = build(text).path(vae, x, q)
    levels = [float(elbo(vae, x, step).mean()) for step in path]
    assert levels[-1] > levels[0] + 1.0
    assert path[-1].uncertainty() is None or q.uncertainty() is not None


def test_a_refined_gp_answer_keeps_the_encoders_uncertainty(vae: VAE, x: Tensor) -> None:
    torch.manual_seed(0)
    q = ENCODERS.get("gp")().build(NET, SHAPE, 2)(x)
    answer = build("svi:2")(vae, x, q)
    assert isinstance(answer, RefinedPosterior)
    actual, own = answer.uncertainty(), q.uncertainty()
    assert actual is not None
    assert torch.equal(actual.total, own.total)
    assert answer.base() is q


def test_a_full_covariance_is_where_the_full_refiner_starts(vae: VAE, x: Tensor) -> None:
    chol = torch.tensor([[0.2, 0.0], [0.1, 0.3]]).expand(len(x), 2, 2)
    q = FullGaussian(torch.zeros(len(x), 2), chol)
    first = build("svi:1,covariance=full,step_size=1e-6")(vae, x, q)
    z = torch.randn(20, len(x), 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(first.log_prob(z), q.log_prob(z), atol=1e-2)


def test_refined_runs_answer_as_the_refiner_does(vae_run: Path, x: Tensor) -> None:
    run, refined = load_run(vae_run, device="cpu"), load_run(vae_run, device="cpu", refiner="svi:8,step_size=0.3")
    q = refined.posterior(x)
    assert torch.equal(q.base().mean, run.posterior(x).mean)
    assert float((elbo(run.model, x, q) - elbo(run.model, x, run.posterior(x))).mean()) > 0.3
