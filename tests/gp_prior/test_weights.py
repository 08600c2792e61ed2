"""The weights of the kernel smoother: the textbook's formula, and the means that they give."""

from __future__ import annotations

import torch

from gpvae_core.gp_prior.exact import ExactPosterior
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import InducingPoints, Statistics
from tests.gp_prior.dense import kernel_matrix, pseudo_observations

KERNEL = "rbf(t, length_scale=1.3)"
TIMES, NEW = torch.linspace(0, 6, 25, dtype=torch.float64), torch.tensor([-1.0, 0.7, 3.1, 6.5]).double()
U = torch.linspace(0.3, 5.7, 6, dtype=torch.float64)


def test_weights_of_the_exact_posterior_are_those_of_gp_regression() -> None:
    pseudo = pseudo_observations(3, 25, missing=4)
    K, K_ns = kernel_matrix(KERNEL, TIMES), kernel_matrix(KERNEL, TIMES, NEW)
    exact = ExactPosterior(K, pseudo)
    w = exact.weights(K_ns)
    for d in range(3):
        seen = pseudo.precision[d] > 0
        noisy = K[seen][:, seen] + torch.diag(1 / pseudo.precision[d, seen])
        torch.testing.assert_close(w[d][:, seen], torch.linalg.solve(noisy, K_ns[seen]).T, atol=1e-9, rtol=1e-9)
        assert not w[d][:, ~seen].any()
    means = exact.predict(K_ns, torch.ones(4, dtype=torch.float64)).mean
    torch.testing.assert_close((w @ pseudo.mean.unsqueeze(-1)).squeeze(-1), means, atol=1e-10, rtol=1e-10)


def test_weights_of_the_sparse_posterior_are_those_of_eq_4() -> None:
    pseudo = pseudo_observations(2, 25, missing=3)
    points = InducingPoints(kernel_matrix(KERNEL, U), 1e-12)
    at, new = (
        points.project(kernel_matrix(KERNEL, U, x), torch.ones(len(x), dtype=torch.float64)) for x in (TIMES, NEW)
    )
    q = Statistics.of(at, pseudo).posterior()
    w = q.weights(new, at, pseudo.precision)
    K_mm, K_mn, K_ms = kernel_matrix(KERNEL, U), kernel_matrix(KERNEL, U, TIMES), kernel_matrix(KERNEL, U, NEW)
    for d in range(2):
        Sigma = K_mm + K_mn @ torch.diag(pseudo.precision[d]) @ K_mn.T
        expected = K_ms.T @ torch.linalg.solve(Sigma, K_mn) @ torch.diag(pseudo.precision[d])
        torch.testing.assert_close(w[d], expected, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close((w @ pseudo.mean.unsqueeze(-1)).squeeze(-1), q.marginals(new).mean)


def test_weights_are_the_change_of_the_means_with_an_observation() -> None:
    pseudo = pseudo_observations(2, 25)
    K, K_ns, k_ss = kernel_matrix(KERNEL, TIMES), kernel_matrix(KERNEL, TIMES, NEW), torch.ones(4, dtype=torch.float64)
    w = ExactPosterior(K, pseudo).weights(K_ns)
    before = ExactPosterior(K, pseudo).predict(K_ns, k_ss).mean
    for i in (0, 7, 24):
        moved = pseudo.mean.clone()
        moved[:, i] += 1e-3
        after = ExactPosterior(K, PseudoObservations(moved, pseudo.precision)).predict(K_ns, k_ss).mean
        torch.testing.assert_close((after - before) / 1e-3, w[:, :, i], atol=1e-9, rtol=1e-9)
