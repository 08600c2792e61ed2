"""Exact GP regression on pseudo-observations: the posterior and the evidence of the GP-VAE (Pearce 2020; eq. 1, 2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.cholesky import cholesky_of_identity_plus
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations


class ExactPosterior:
    """q(Z|Y,X) of Jazbec et al. 2021, eq. 1: one GP posterior for each latent channel, in time O(N^3).

    With W = diag(1 / sigma~) and B = I + W K W, of eigenvalues of at least 1,

        log Z = -1/2 y~' W B^-1 W y~ - 1/2 log |B| - 1/2 sum_i log(2 pi sigma~_i^2)
        E z   = K W B^-1 W y~
        Cov z = K - K W B^-1 W K,

    so that K itself is never factorised and needs no jitter (Rasmussen & Williams 2006, sec. 3.4.3). An instance
    without an observation has W_ii = 0.
    """

    def __init__(self, K: Float[Tensor, "*#batch #D N N"], pseudo: PseudoObservations) -> None:
        self._K, self._pseudo = K, pseudo
        # The square root has no gradient at a precision of 0.
        self._root = torch.where(pseudo.precision > 0, pseudo.precision, 1.0).sqrt() * pseudo.observed
        weighted = self._root[..., :, None] * K * self._root[..., None, :]
        self._chol = cholesky_of_identity_plus(weighted, "matrix I + W K W of the instances' kernel")
        whitened = (self._root * pseudo.mean).unsqueeze(-1)
        self._residual = torch.linalg.solve_triangular(self._chol, whitened, upper=False).squeeze(-1)

    def log_evidence(self) -> Float[Tensor, "*batch D"]:
        """Return log Z = log N(y~; 0, K + diag(sigma~^2)) of each channel in nats."""
        log_root_det = self._chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return self._pseudo.log_normaliser() - 0.5 * self._residual.square().sum(-1) - log_root_det

    def marginals(self) -> Marginals:
        """Return the marginals at the instances themselves, observed or not."""
        return self.predict(self._K, self._K.diagonal(dim1=-2, dim2=-1))

    def predict(self, K_ns: Float[Tensor, "*#batch #D N S"], k_ss: Float[Tensor, "*#batch #D S"]) -> Marginals:
        """Return the marginals at S other inputs.

        Args:
            K_ns: kernel between the instances and these inputs.
            k_ss: kernel of each of these inputs with itself.
        """
        V = self._whitened(K_ns)
        mean = (V * self._residual.unsqueeze(-1)).sum(-2)
        return Marginals(mean, (k_ss - V.square().sum(-2)).clamp_min(0.0))

    def weights(self, K_ns: Float[Tensor, "*#batch #D N S"]) -> Float[Tensor, "*batch D S N"]:
        """Return w of the means m_s = sum_i w_si y~_i at S other inputs: the rows of K_sn W B^-1 W."""
        solved = torch.linalg.solve_triangular(self._chol.mT, self._whitened(K_ns), upper=True)
        return solved.mT * self._root.unsqueeze(-2)

    def _whitened(self, K_ns: Float[Tensor, "*#batch #D N S"]) -> Float[Tensor, "*batch D N S"]:
        """Return C^-1 W K_ns of B = C C'."""
        return torch.linalg.solve_triangular(self._chol, self._root.unsqueeze(-1) * K_ns, upper=False)
