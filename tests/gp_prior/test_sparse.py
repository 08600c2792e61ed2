"""Sparse posteriors and bounds: the papers' formulas, the exact limit, and the order of the bounds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import (
    InducingPoints,
    InducingPosterior,
    InducingProjection,
    Statistics,
    hensman_bound,
    titsias_bound,
)
from tests.gp_prior.dense import agree, evidence, kernel_matrix, posterior, pseudo_observations

KERNEL = "rbf(t, length_scale=1.3)"
TIMES = torch.linspace(0, 6, 25, dtype=torch.float64)
JITTER = 1e-12


def projected(u: Tensor, times: Tensor = TIMES, kernel: str = KERNEL) -> tuple[InducingPoints, InducingProjection]:
    points = InducingPoints(kernel_matrix(kernel, u), JITTER)
    return points, points.project(kernel_matrix(kernel, u, times), torch.ones(len(times), dtype=torch.float64))


def inducing(m: int) -> Tensor:
    return torch.linspace(0.3, 5.7, m, dtype=torch.float64)


def test_inducing_points_at_the_data_give_the_exact_posterior_and_evidence() -> None:
    pseudo = pseudo_observations(3, 25, missing=4)
    kernel = "matern(t, nu=1.5)"
    K = kernel_matrix(kernel, TIMES)
    _, at = projected(TIMES, kernel=kernel)
    q = Statistics.of(at, pseudo).posterior()
    agree(q.marginals(at), posterior(K, K, K.diagonal(), pseudo), 1e-6)
    torch.testing.assert_close(titsias_bound(at, pseudo), evidence(K, pseudo), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(hensman_bound(q, at, pseudo), evidence(K, pseudo), atol=1e-6, rtol=1e-6)


def test_the_posterior_of_a_batch_is_eq_9() -> None:
    u, batch = inducing(6), slice(3, 14)
    pseudo = pseudo_observations(2, 11)
    points, at = projected(u, TIMES[batch])
    mu, A = Statistics.of(at, pseudo).scaled(25 / 11).posterior().unwhitened(points)
    K_mm, K_mb = kernel_matrix(KERNEL, u), kernel_matrix(KERNEL, u, TIMES[batch])
    for d in range(2):
        Sigma = K_mm + 25 / 11 * K_mb @ torch.diag(pseudo.precision[d]) @ K_mb.T
        expected = 25 / 11 * K_mm @ torch.linalg.solve(Sigma, K_mb @ (pseudo.precision[d] * pseudo.mean[d]))
        torch.testing.assert_close(mu[d], expected, atol=1e-7, rtol=1e-7)
        torch.testing.assert_close(A[d], K_mm @ torch.linalg.solve(Sigma, K_mm), atol=1e-7, rtol=1e-7)


def test_the_full_batch_is_titsias_optimum() -> None:
    """No other q(f_m) has a larger L_H, and at the optimum L_H = L_T (Hensman et al. 2013)."""
    pseudo = pseudo_observations(2, 25)
    _, at = projected(inducing(6))
    q = Statistics.of(at, pseudo).posterior()
    best = hensman_bound(q, at, pseudo)
    torch.testing.assert_close(best, titsias_bound(at, pseudo), atol=1e-9, rtol=1e-9)
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 0.1):
        moved = InducingPosterior(
            q.mean + scale * torch.randn(q.mean.shape, generator=generator, dtype=torch.float64),
            q.root * (1 + scale),
        )
        assert (hensman_bound(moved, at, pseudo) < best).all()
    mean, root = q.mean.clone().requires_grad_(), q.root.clone().requires_grad_()
    hensman_bound(InducingPosterior(mean, root), at, pseudo).sum().backward()
    assert mean.grad is not None
    assert root.grad is not None
    assert float(mean.grad.abs().max()) < 1e-9
    assert float(root.grad.triu().abs().max()) < 1e-9


@pytest.mark.parametrize("m", [1, 3, 8, 15])
def test_the_bounds_are_in_order(m: int) -> None:
    """L_H at the posterior of a batch <= L_T <= log Z."""
    pseudo = pseudo_observations(3, 25)
    _, at = projected(inducing(m))
    part = PseudoObservations(pseudo.mean[:, :9], pseudo.precision[:, :9])
    of_batch = Statistics.of(InducingProjection(at.V[:, :9], at.k_ii[:9]), part).scaled(25 / 9).posterior()
    lower, middle = hensman_bound(of_batch, at, pseudo), titsias_bound(at, pseudo)
    upper = evidence(kernel_matrix(KERNEL, TIMES), pseudo)
    assert (lower <= middle + 1e-9).all()
    assert (middle <= upper + 1e-9).all()
    if m <= 8:
        assert (lower < middle - 1e-3).all()


def test_titsias_bound_is_eq_6() -> None:
    pseudo = pseudo_observations(2, 25)
    u = inducing(5)
    _, at = projected(u)
    K_mm, K_mn = kernel_matrix(KERNEL, u), kernel_matrix(KERNEL, u, TIMES)
    Q = K_mn.T @ torch.linalg.solve(K_mm, K_mn)
    trace = (pseudo.precision * (1 - Q.diagonal())).sum(1)
    torch.testing.assert_close(titsias_bound(at, pseudo), evidence(Q, pseudo) - 0.5 * trace, atol=1e-6, rtol=1e-6)


def test_the_kl_is_that_of_the_inducing_outputs() -> None:
    u = inducing(5)
    points, at = projected(u)
    q = Statistics.of(at, pseudo_observations(2, 25)).posterior()
    mu, A = q.unwhitened(points)
    prior = MultivariateNormal(torch.zeros(5, dtype=torch.float64), kernel_matrix(KERNEL, u))
    for d in range(2):
        expected = kl_divergence(MultivariateNormal(mu[d], (A[d] + A[d].T) / 2), prior)
        torch.testing.assert_close(q.kl()[d], expected, atol=1e-5, rtol=1e-5)


def test_the_encoder_has_no_gradient_in_the_bound_of_hensman() -> None:
    """Prop. B.1 and B.2: in L_PH, E log q~ cancels with the same term of L_H, and only rounding is left."""
    pseudo = pseudo_observations(2, 25)
    mean, precision = pseudo.mean.requires_grad_(), pseudo.precision.requires_grad_()
    latent = PseudoObservations(mean, precision)
    _, at = projected(inducing(6))
    q = InducingPosterior(torch.ones(2, 6, dtype=torch.float64), torch.eye(6, dtype=torch.float64).repeat(2, 1, 1))
    bound = hensman_bound(q, at, latent).sum() - latent.expected_log(q.marginals(at)).sum()
    gradients = torch.autograd.grad(bound, [mean, precision])
    alone = torch.autograd.grad(latent.expected_log(q.marginals(at)).sum(), [mean, precision])
    for gradient, term in zip(gradients, alone, strict=True):
        assert float(gradient.abs().max()) < 1e-13 * float(term.abs().max())
    torch.testing.assert_close(bound, -q.kl().sum())


def test_the_long_form_of_eq_10_is_the_short_one() -> None:
    """-E log q~ + (b/N) L_H = -(b/N) KL: the cross-entropies cancel; through mu_b and A_b the encoder still acts."""
    pseudo = pseudo_observations(2, 11)
    _, at = projected(inducing(6), TIMES[:11])
    q = Statistics.of(at, pseudo).scaled(25 / 11).posterior()
    long = 11 / 25 * hensman_bound(q, at, pseudo, scale=25 / 11) - pseudo.expected_log(q.marginals(at)).sum(-1)
    torch.testing.assert_close(long, -11 / 25 * q.kl(), atol=1e-10, rtol=1e-10)


def test_pooled_batches_are_the_whole() -> None:
    pseudo = pseudo_observations(2, 25)
    _, at = projected(inducing(6))
    parts = [slice(0, 9), slice(9, 25)]
    sums = [
        Statistics.of(
            InducingProjection(at.V[:, p], at.k_ii[p]), PseudoObservations(pseudo.mean[:, p], pseudo.precision[:, p])
        )
        for p in parts
    ]
    pooled, whole = (sums[0] + sums[1]).posterior(), Statistics.of(at, pseudo).posterior()
    torch.testing.assert_close(pooled.mean, whole.mean)
    torch.testing.assert_close(pooled.root, whole.root)


def test_duplicated_inducing_points_get_a_larger_jitter_and_stay_finite() -> None:
    u = torch.ones(10, dtype=torch.float64)
    _, at = projected(u)
    q = Statistics.of(at, pseudo_observations(2, 25)).posterior()
    assert all(bool(t.isfinite().all()) for t in (q.mean, q.root, q.kl(), q.marginals(at).variance))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_length_scales_stay_finite_in_single_precision(scale: float) -> None:
    u, kernel = inducing(20), f"rbf(t, length_scale={scale})"
    points = InducingPoints(kernel_matrix(kernel, u).float(), 1e-6)
    at = points.project(kernel_matrix(kernel, u, TIMES).float(), torch.ones(25))
    pseudo = pseudo_observations(2, 25)
    q = Statistics.of(at, PseudoObservations(pseudo.mean.float(), pseudo.precision.float())).posterior()
    assert all(bool(t.isfinite().all()) for t in (q.mean, q.root, q.kl(), q.marginals(at).variance))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (
            torch.tensor([[1.0, 5.0], [5.0, 1.0]]),
            "kernel matrix of the inducing points (2 x 2) is not positive definite",
        ),
        (torch.zeros(2, 2), "kernel matrix of the inducing points (2 x 2) has a diagonal of zero"),
        (torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), "kernel matrix of the inducing points (2 x 2) has values"),
    ],
)
def test_a_hopeless_matrix_is_named(matrix: Tensor, said: str) -> None:
    with pytest.raises(UserError) as error:
        InducingPoints(matrix, 1e-6)
    assert said in str(error.value)
    assert "try" in str(error.value)
