"""The exact posterior and evidence of pseudo-observations against dense Gaussian algebra."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.gp_prior.exact import ExactPosterior
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from tests.gp_prior.dense import agree, evidence, kernel_matrix, posterior, pseudo_observations

TIMES = torch.linspace(0, 6, 25, dtype=torch.float64)


@pytest.mark.parametrize("missing", [0, 7])
def test_evidence_and_posterior_are_those_of_dense_algebra(missing: int) -> None:
    K, pseudo = kernel_matrix("rbf(t, length_scale=1.3)", TIMES), pseudo_observations(3, 25, missing=missing)
    exact = ExactPosterior(K, pseudo)
    torch.testing.assert_close(exact.log_evidence(), evidence(K, pseudo), atol=1e-10, rtol=1e-10)
    agree(exact.marginals(), posterior(K, K, K.diagonal(), pseudo), 1e-10)


def test_prediction_at_other_inputs() -> None:
    s = torch.tensor([-1.0, 2.05, 9.0], dtype=torch.float64)
    K, K_sn = kernel_matrix("matern(t, nu=1.5)", TIMES), kernel_matrix("matern(t, nu=1.5)", s, TIMES)
    pseudo = pseudo_observations(2, 25, missing=3)
    k_ss = torch.ones(3, dtype=torch.float64)
    agree(ExactPosterior(K, pseudo).predict(K_sn.T, k_ss), posterior(K, K_sn, k_ss, pseudo), 1e-10)


def test_a_missing_frame_is_a_dropped_frame() -> None:
    K, pseudo = kernel_matrix("rbf(t)", TIMES), pseudo_observations(2, 25, missing=6)
    kept = PseudoObservations(pseudo.mean[:, :19], pseudo.precision[:, :19])
    without, with_gap = ExactPosterior(K[:19, :19], kept), ExactPosterior(K, pseudo)
    torch.testing.assert_close(with_gap.log_evidence(), without.log_evidence(), atol=1e-12, rtol=1e-12)
    marginals = with_gap.marginals()
    agree(Marginals(marginals.mean[:, :19], marginals.variance[:, :19]), without.marginals(), 1e-12)


def test_batches_of_series_are_computed_at_once() -> None:
    K = kernel_matrix("rbf(t)", TIMES)
    series = [pseudo_observations(2, 25, seed=seed, missing=seed) for seed in range(3)]
    together = ExactPosterior(
        K, PseudoObservations(torch.stack([s.mean for s in series]), torch.stack([s.precision for s in series]))
    )
    for i, alone in enumerate(series):
        torch.testing.assert_close(together.log_evidence()[i], ExactPosterior(K, alone).log_evidence())


def test_a_singular_kernel_matrix_needs_no_jitter() -> None:
    times = TIMES.clone()
    times[1:4] = times[0]
    K, pseudo = kernel_matrix("rbf(t, length_scale=1000)", times), pseudo_observations(2, 25)
    exact = ExactPosterior(K, pseudo)
    torch.testing.assert_close(exact.log_evidence(), evidence(K, pseudo), atol=1e-6, rtol=1e-8)


def test_the_cross_entropy_is_the_mean_over_samples() -> None:
    pseudo = pseudo_observations(2, 5, missing=1)
    q = Marginals(torch.full((2, 5), 0.3, dtype=torch.float64), torch.full((2, 5), 0.49, dtype=torch.float64))
    z = 0.3 + 0.7 * torch.randn(200_000, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normal = torch.distributions.Normal(pseudo.mean[:, :4], pseudo.precision[:, :4].rsqrt())
    sampled = normal.log_prob(z[..., :4]).mean(0)
    torch.testing.assert_close(q_log(pseudo, q)[:, :4], sampled, atol=0.02, rtol=0.02)
    assert (q_log(pseudo, q)[:, 4] == 0).all()


def q_log(pseudo: PseudoObservations, q: Marginals) -> torch.Tensor:
    return pseudo.expected_log(q)
