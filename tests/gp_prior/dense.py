"""Dense Gaussian algebra in float64, the oracle of all forms of GP posteriors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations


def kernel_matrix(text: str, x: Tensor, y: Tensor | None = None) -> Tensor:
    """The kernel of an expression over one column of numbers between inputs (A,) and (C,)."""
    kernel = parse_kernel(text).build(lambda term: term.config.build(slice(0, 1), None))
    inputs = x[:, None]
    with torch.no_grad():
        return kernel.matrix(inputs, inputs if y is None else y[:, None])


def pseudo_observations(d: int, n: int, seed: int = 0, missing: int = 0) -> PseudoObservations:
    """Observations of d channels at n inputs with noise of all sizes; the last `missing` inputs have none."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(d, n, generator=generator, dtype=torch.float64)
    precision = torch.exp(2 * torch.randn(d, n, generator=generator, dtype=torch.float64))
    precision[:, n - missing :] = 0.0
    return PseudoObservations(mean, precision)


def evidence(K: Tensor, pseudo: PseudoObservations) -> Tensor:
    """log N(y~; 0, K + diag(sigma~^2)) of each channel over the inputs with an observation."""
    out = []
    for y, precision in zip(pseudo.mean, pseudo.precision, strict=True):
        seen = precision > 0
        covariance = K[seen][:, seen] + torch.diag(1 / precision[seen])
        out.append(MultivariateNormal(torch.zeros_like(y[seen]), covariance).log_prob(y[seen]))
    return torch.stack(out)


def posterior(K: Tensor, K_sn: Tensor, k_ss: Tensor, pseudo: PseudoObservations) -> Marginals:
    """The textbook posterior K_sn (K + S)^-1 y~ with its variance, of each channel."""
    means, variances = [], []
    for y, precision in zip(pseudo.mean, pseudo.precision, strict=True):
        seen = precision > 0
        gain = torch.linalg.solve(K[seen][:, seen] + torch.diag(1 / precision[seen]), K_sn[:, seen].T).T
        means.append(gain @ y[seen])
        variances.append(k_ss - (gain * K_sn[:, seen]).sum(1))
    return Marginals(torch.stack(means), torch.stack(variances))


def agree(a: Marginals, b: Marginals, tolerance: float) -> None:
    """Assert that means and variances are equal."""
    torch.testing.assert_close(a.mean, b.mean, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(a.variance, b.variance, atol=tolerance, rtol=tolerance)
