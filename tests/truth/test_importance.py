"""IWAE against the linear-Gaussian model's log p(x)."""

from __future__ import annotations

import math

import pytest
import torch

from gpvae_core.bounds import iwae
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.truth.importance import log_weights
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 4, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def oracle() -> LinearGaussianVAE:
    return LinearGaussianVAE.make(3, SHAPE, 0.7)


@pytest.mark.parametrize("chunk", [64, 4096])
def test_large_k_gives_log_px(oracle: LinearGaussianVAE, chunk: int) -> None:
    x = oracle.images(5)
    actual = iwae(log_weights(oracle.vae(), x, 5_000, seeded(), chunk=chunk))
    torch.testing.assert_close(actual, oracle.log_px(x), atol=0.02, rtol=0)


def test_the_true_posterior_as_proposal_is_exact_with_one_sample() -> None:
    """All weights are p(x). Orthogonal columns make the posterior a diagonal Gaussian."""
    q, _ = torch.linalg.qr(torch.randn(16, 3, generator=seeded(), dtype=torch.float64))
    oracle = LinearGaussianVAE(q * torch.tensor([1.0, 2.0, 0.5]), torch.full((16,), 0.5).double(), 0.7, SHAPE)
    x = oracle.images(4)
    std = oracle.posterior_covariance.diagonal().sqrt()
    exact = DiagonalGaussian(oracle.posterior_mean(x).float(), std.expand(4, 3).float())
    actual = iwae(log_weights(oracle.vae(), x, 1, seeded(), exact))
    torch.testing.assert_close(actual, oracle.log_px(x), atol=1e-3, rtol=0)


def test_a_proposal_off_the_encoder_changes_the_samples_not_the_answer(oracle: LinearGaussianVAE) -> None:
    x = oracle.images(3)
    wide = DiagonalGaussian(torch.zeros(3, 3), torch.full((3, 3), 1.5))
    actual = iwae(log_weights(oracle.vae(shift=torch.full((3,), 50.0)), x, 200_000, seeded(), wide))
    torch.testing.assert_close(actual, oracle.log_px(x), atol=0.1, rtol=0)


def test_is_a_lower_bound_that_rises_with_k(oracle: LinearGaussianVAE) -> None:
    """E[IWAE_1] is the ELBO, E[IWAE_K] grows to log p(x) from below."""
    x = oracle.images(1).expand(2_000, -1, -1, -1)
    vae = oracle.vae(shift=torch.full((3,), 0.3))
    levels = [float(iwae(log_weights(vae, x, k, seeded())).mean()) for k in (1, 5, 50)]
    elbo = oracle.elbo(x[:1], oracle.posterior_mean(x[:1]) + 0.3, torch.diag(1.0 / oracle.precision.diagonal()))
    assert levels[0] == pytest.approx(float(elbo), abs=0.1)
    assert levels[0] < levels[1] < levels[2] < float(oracle.log_px(x[:1])) + 0.01


def test_decodes_no_more_than_a_chunk_at_a_time(oracle: LinearGaussianVAE) -> None:
    vae, sizes = oracle.vae(), []
    vae.decoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    actual = log_weights(vae, oracle.images(6), 101, seeded(), chunk=60)
    assert max(sizes) <= 60
    assert sum(sizes) == 6 * 101
    assert actual.shape == (101, 6)


def test_decodes_by_default_what_a_cpu_is_fastest_on(oracle: LinearGaussianVAE) -> None:
    vae, sizes = oracle.vae(), []
    vae.decoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    log_weights(vae, oracle.images(8), 1024, seeded())
    assert set(sizes) == {512}


def test_the_generator_decides(oracle: LinearGaussianVAE) -> None:
    vae, x = oracle.vae(), oracle.images(2)
    one, again, other = (iwae(log_weights(vae, x, 10, seeded(seed))) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert all(math.isfinite(v) for v in one.tolist())
