"""The low-rank form of GPPVAE's prior against dense algebra and samples."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal

from gpvae_core.gp_prior.low_rank import LowRankPrior
from gpvae_core.gp_prior.pseudo import Marginals

GENERATOR = torch.Generator().manual_seed(3)
V = torch.randn(12, 4, generator=GENERATOR, dtype=torch.float64)
ALPHA = torch.tensor(0.3, dtype=torch.float64)
K = V @ V.T + ALPHA * torch.eye(12, dtype=torch.float64)
Q = Marginals(
    torch.randn(2, 12, generator=GENERATOR, dtype=torch.float64),
    torch.rand(2, 12, generator=GENERATOR, dtype=torch.float64),
)


def test_determinant_and_expected_log_density_are_those_of_dense_algebra() -> None:
    prior = LowRankPrior(V, ALPHA)
    torch.testing.assert_close(prior.log_det(), torch.logdet(K))
    normal = MultivariateNormal(torch.zeros(12, dtype=torch.float64), K)
    inverse = torch.linalg.inv(K)
    # E log N(z; 0, K) = log N(m; 0, K) - 1/2 tr(K^-1 Diag(v))
    expected = normal.log_prob(Q.mean) - 0.5 * (Q.variance * inverse.diagonal()).sum(1)
    torch.testing.assert_close(prior.expected_log(Q), expected, atol=1e-10, rtol=1e-10)


def test_predictions_are_those_of_dense_algebra() -> None:
    V_s = torch.randn(5, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    gain = torch.linalg.solve(K, V @ V_s.T).T
    new = torch.rand(5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    k_ss = V_s.square().sum(1) + new
    prior = LowRankPrior(V, ALPHA)
    predicted, process = prior.predict(V_s, k_ss, Q), prior.process(V_s, k_ss, Q)
    torch.testing.assert_close(predicted.mean, Q.mean @ gain.T, atol=1e-10, rtol=1e-10)
    expected = k_ss + ALPHA - (gain @ V * V_s).sum(1) + Q.variance @ gain.square().T
    torch.testing.assert_close(predicted.variance, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(process.mean, predicted.mean)
    torch.testing.assert_close(process.variance, expected - ALPHA, atol=1e-10, rtol=1e-10)
