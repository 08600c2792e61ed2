"""Noise common to all images: balanced, whitened, quasi-random."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.densities.noise import sobol_noise, step_noise, whitened


@pytest.mark.parametrize(("k", "d"), [(2, 3), (8, 3), (8, 4), (32, 10)])
def test_even_noise_is_balanced(k: int, d: int) -> None:
    for eps in step_noise(3, k, torch.zeros(5, d)):
        moments = eps[:, 0].T @ eps[:, 0] / k
        assert eps.shape == (k, 1, d)
        assert float(eps.mean(0).abs().max()) < 1e-6
        assert torch.allclose(moments.diagonal(), torch.ones(d), atol=1e-4)
        assert (k < 2 * d) or torch.allclose(moments, torch.eye(d), atol=1e-4)


@pytest.mark.parametrize("d", [4, 11, 13, 21, 50, 76, 77, 79, 100])
def test_noise_of_as_many_pairs_as_dimensions_is_balanced_however_its_draws_are_conditioned(d: int) -> None:
    for eps in step_noise(30, 2 * d, torch.zeros(5, d, dtype=torch.float64)):
        moments = eps[:, 0].T @ eps[:, 0] / len(eps)
        assert torch.allclose(moments, torch.eye(d, dtype=torch.float64), atol=1e-10)


def test_whitened_noise_is_that_of_the_cholesky_factor_and_of_a_singular_matrix_too() -> None:
    half = torch.randn(40, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chol = torch.linalg.cholesky(half.T @ half / len(half))
    assert torch.allclose(whitened(half), torch.linalg.solve_triangular(chol, half.T, upper=False).T)
    half[:, 3] = half[:, 2]
    assert torch.allclose(whitened(half).T @ whitened(half) / 40, torch.eye(7, dtype=torch.float64))


@pytest.mark.parametrize("k", [4, 8, 16])
def test_the_fourth_moment_of_few_samples_is_as_stated(k: int) -> None:
    eps = torch.stack(step_noise(4000, k, torch.zeros(1, k // 2)))
    assert float(eps.pow(4).mean()) == pytest.approx(3 * k / (k + 4), rel=0.03)
    assert float(eps.square().mean()) == pytest.approx(1.0, abs=1e-5)


def test_quasi_random_noise_is_standard_normal() -> None:
    eps = sobol_noise(4096, 4, seed=1)
    assert torch.isfinite(eps).all()
    torch.testing.assert_close(eps.mean(0), torch.zeros(4), atol=5e-3, rtol=0)
    torch.testing.assert_close(eps.T @ eps / len(eps), torch.eye(4), atol=0.02, rtol=0)
    assert float(eps.pow(4).mean()) == pytest.approx(3.0, abs=0.1)
