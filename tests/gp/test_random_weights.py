"""The quadratic forms and the KL of q(W) against dense algebra and torch's own distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.errors import UserError
from gpvae_core.gp.random_weights import RandomWeights, Variances


def dense(d: int, p: int, seed: int = 0) -> RandomWeights:
    torch.manual_seed(seed)
    weights = RandomWeights(d, p, 0.3).double()
    L = torch.randn(d, p, p, dtype=torch.float64).tril(-1) * 0.2 + torch.diag_embed(
        torch.rand(d, p, dtype=torch.float64) + 0.1
    )
    weights.set_cholesky(L)
    with torch.no_grad():
        weights.mu.normal_()
    return weights


@pytest.mark.parametrize("p", [3, 8, 19, 64])
def test_variance_is_the_dense_quadratic_form(p: int) -> None:
    weights, psi = dense(4, p), torch.randn(6, p, dtype=torch.float64)
    L = weights.cholesky().detach()
    sigma = L @ L.transpose(1, 2)
    expected = torch.einsum("bp,dpq,bq->bd", psi, sigma, psi)
    assert torch.allclose(weights.variance(psi), expected, rtol=1e-12)
    with torch.no_grad():
        assert torch.allclose(weights.variance(psi), expected, rtol=1e-12)
    other, psi_other = dense(4, p, seed=1), torch.randn(6, p, dtype=torch.float64)
    L = other.cholesky().detach()
    both = Variances(weights, other)(torch.stack([psi, psi_other]))
    assert torch.allclose(both[0], expected, rtol=1e-12)
    assert torch.allclose(both[1], torch.einsum("bp,dpq->bdq", psi_other, L).square().sum(-1), rtol=1e-12)


@pytest.mark.parametrize("p", [5, 19])
def test_gradients_of_the_variance(p: int) -> None:
    weights, psi = dense(3, p), torch.randn(4, p, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(4, 3, dtype=torch.float64)
    parameters = (weights.below, weights.log_diagonal, psi)
    actual = torch.autograd.grad(weights.variance(psi), parameters, grad)
    plain = torch.einsum("bp,dpq->bdq", psi, weights.cholesky()).square().sum(-1)
    wanted = torch.autograd.grad(plain, parameters, grad)
    assert torch.allclose(actual[0], wanted[0].tril(-1), rtol=1e-10)
    assert torch.allclose(actual[1], wanted[1], rtol=1e-10)
    assert torch.allclose(actual[2], wanted[2], rtol=1e-10)


@pytest.mark.parametrize("frozen", [True, False])
def test_kept_factors_follow_the_parameters(frozen: bool) -> None:
    weights, psi = dense(2, 8), torch.randn(3, 8, dtype=torch.float64)
    variances = Variances(weights.requires_grad_(not frozen))
    with torch.no_grad():
        before = variances(psi[None])[0]
        assert torch.equal(before, variances(psi[None])[0])
        weights.log_diagonal.add_(0.5)
        after = variances(psi[None])[0]
    L = weights.cholesky().detach()
    assert not torch.allclose(before, after)
    assert torch.allclose(after, torch.einsum("bp,dpq->bdq", psi, L).square().sum(-1))


def test_factors_follow_a_fused_optimizer() -> None:
    """It changes parameters without raising their version."""
    weights, psi = dense(2, 8), torch.randn(3, 8, dtype=torch.float64)
    optimizer, variances = torch.optim.Adam(weights.parameters(), lr=0.1, fused=True), Variances(weights)
    for _ in range(2):
        weights.variance(psi).sum().backward()
        optimizer.step()
        with torch.no_grad():
            plain = torch.einsum("bp,dpq->bdq", psi, weights.cholesky()).square().sum(-1)
            assert torch.allclose(variances(psi[None])[0], plain)


def test_kl_is_that_of_the_gaussians() -> None:
    weights = dense(3, 7)
    q = MultivariateNormal(weights.mu.detach(), scale_tril=weights.cholesky().detach())
    prior = MultivariateNormal(torch.zeros(3, 7, dtype=torch.float64), torch.eye(7, dtype=torch.float64))
    assert float(weights.kl().detach()) == pytest.approx(float(kl_divergence(q, prior).sum()), rel=1e-12)


def test_the_upper_triangle_stays_zero_in_training() -> None:
    weights, psi = dense(2, 9), torch.randn(5, 9, dtype=torch.float64)
    optimizer = torch.optim.Adam(weights.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (weights.variance(psi).sum() + weights.kl()).backward()
        optimizer.step()
    assert torch.equal(weights.below.detach().triu(), torch.zeros(2, 9, 9, dtype=torch.float64))


def test_factors_that_are_not_lower_triangular_are_refused() -> None:
    weights = RandomWeights(1, 3, 0.1)
    with pytest.raises(UserError, match="lower triangular"):
        weights.set_cholesky(torch.ones(1, 3, 3))
