"""GP priors whose covariance has low rank plus noise, K = V V' + alpha I (Casale et al. 2018; Jazbec et al. 2021, B.3).

Such a kernel is a product of kernels with few features each, as of a linear kernel of M-dimensional object vectors and
a kernel of Q views: V has H = M Q columns. All is exact, in time O(N H^2), by the identities of Woodbury and Sylvester

    K^-1 = (I - V G^-1 V') / alpha   with G = alpha I + V'V,      |K| = alpha^(N - H) |G|.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.cholesky import safe_cholesky
from gpvae_core.gp_prior.pseudo import Marginals


class LowRankPrior:
    """N(0, V V' + alpha I) over the latents of one channel at N instances."""

    def __init__(self, V: Float[Tensor, "N H"], alpha: Float[Tensor, ""]) -> None:
        self._V, self._alpha = V, alpha
        eye = torch.eye(V.shape[1], dtype=V.dtype, device=V.device)
        self._chol = safe_cholesky(
            alpha * eye + V.T @ V, 0.0, "matrix alpha I + V'V of the low-rank kernel", "a larger alpha"
        )

    def _solve(self, projected: Float[Tensor, "H D"]) -> Float[Tensor, "H D"]:
        return torch.cholesky_solve(projected, self._chol)

    def log_det(self) -> Float[Tensor, ""]:
        """Return log |K|."""
        n, h = self._V.shape
        return (n - h) * self._alpha.log() + 2 * self._chol.diagonal().log().sum()

    def expected_log(self, q: Marginals) -> Float[Tensor, " D"]:
        """Return E_q log p(z) of each channel in nats for a factorised q(z) = prod_i N(mean_i, variance_i)."""
        # E z' K^-1 z = m' K^-1 m + sum_i v_i (K^-1)_ii
        n = len(self._V)
        projected = q.mean @ self._V
        fit = (q.mean.square().sum(-1) - (projected * self._solve(projected.T).T).sum(-1)) / self._alpha
        white = torch.linalg.solve_triangular(self._chol, self._V.T, upper=False)
        inverse_diagonal = (1 - white.square().sum(0)) / self._alpha
        return -0.5 * (fit + (q.variance * inverse_diagonal).sum(-1) + self.log_det() + n * math.log(2 * math.pi))

    def weights(self, V_s: Float[Tensor, "S H"]) -> Float[Tensor, "S N"]:
        """Return k_s' K^-1 of S new inputs with V_s V' = k_s': the weight of each instance's latent in E z_s."""
        # k_s' K^-1 = V_s V' (I - V G^-1 V') / alpha = V_s G^-1 V'
        return V_s @ self._solve(self._V.T)

    def process(self, V_s: Float[Tensor, "S H"], k_ss: Float[Tensor, " S"], q: Marginals) -> Marginals:
        """Return the marginals (D, S) of the process f at S new inputs, of which latents are z = f + noise of alpha.

        Given is q(z) = prod_i N(mean_i, variance_i), over which they are integrated: p(f_s|z) has the mean k_s' K^-1 z,
        whose variance under q adds to that of p(f_s|z).

        Args:
            k_ss: kernel of each new input with itself, without alpha; V_s V_s' where no new feature is in it.
        """
        weights = self.weights(V_s)
        explained = ((weights @ self._V) * V_s).sum(-1)
        return Marginals(q.mean @ weights.T, k_ss - explained + q.variance @ weights.square().T)

    def predict(self, V_s: Float[Tensor, "S H"], k_ss: Float[Tensor, " S"], q: Marginals) -> Marginals:
        """Return the marginals (D, S) of the latents z_s at S new inputs, see `process`."""
        f = self.process(V_s, k_ss, q)
        return Marginals(f.mean, f.variance + self._alpha)
