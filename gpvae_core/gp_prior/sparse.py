"""Sparse GP posteriors over inducing outputs f_m = f(U), and their bounds (Jazbec et al. 2021, eq. 3-10).

All algebra is in whitened coordinates: f_m = L v with K_mm = L L', so that p(v) = N(0, I), and V = L^-1 K_mN. Then

    Sigma = K_mm + K_mN diag(sigma~^-2) K_Nm = L B L'   with B = I + V diag(sigma~^-2) V',

whose eigenvalues are at least 1, and eq. 4 and 5 become q(v) = N(B^-1 c, B^-1) with c = V diag(sigma~^-2) y~.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.cholesky import cholesky_of_identity_plus, safe_cholesky
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations

PRECISION = "posterior precision of the inducing outputs"
"""Name of the matrix B in error messages."""


@dataclass(frozen=True)
class InducingProjection:
    """What N inputs have to do with the inducing points: V = L^-1 K_mN, and the prior variance of each input."""

    V: Float[Tensor, "*batch M N"]
    k_ii: Float[Tensor, "*batch N"]

    @property
    def unexplained(self) -> Float[Tensor, "*batch N"]:
        """Return k_ii - k_i' K_mm^-1 k_i, the prior variance that the inducing points leave (k~_ii of eq. 7)."""
        return (self.k_ii - self.V.square().sum(-2)).clamp_min(0.0)


class InducingPoints:
    """The Cholesky factor of K_mm, by which inputs are projected."""

    def __init__(self, K_mm: Float[Tensor, "M M"], jitter: float) -> None:
        self.L = safe_cholesky(K_mm, jitter, "kernel matrix of the inducing points")

    def project(self, K_mn: Float[Tensor, "*batch M N"], k_ii: Float[Tensor, "*batch N"]) -> InducingProjection:
        """Return V = L^-1 K_mN of N inputs, with their prior variances."""
        return InducingProjection(torch.linalg.solve_triangular(self.L, K_mn, upper=False), k_ii)


@dataclass(frozen=True)
class Statistics:
    """Sums over instances by which they enter the posterior: V diag(sigma~^-2) V' and c = V diag(sigma~^-2) y~.

    They add up, so that any number of batches can be pooled.
    """

    outer: Float[Tensor, "*batch D M M"]
    c: Float[Tensor, "*batch D M"]

    @classmethod
    def of(cls, at: InducingProjection, pseudo: PseudoObservations) -> Statistics:
        """Return the sums over the instances of a batch."""
        weighted = at.V.unsqueeze(-3) * pseudo.precision.unsqueeze(-2)
        return cls(weighted @ at.V.mT.unsqueeze(-3), (weighted * pseudo.mean.unsqueeze(-2)).sum(-1))

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.outer + other.outer, self.c + other.c)

    def scaled(self, factor: float) -> Statistics:
        """Return the sums times `factor`, N / b for a batch of b of N instances (eq. 9)."""
        return Statistics(factor * self.outer, factor * self.c)

    def posterior(self) -> InducingPosterior:
        """Return the optimal q(v) = N(B^-1 c, B^-1) for these instances (Titsias 2009; eq. 4, 5 and 9)."""
        chol = cholesky_of_identity_plus(self.outer, PRECISION)
        mean = torch.cholesky_solve(self.c.unsqueeze(-1), chol).squeeze(-1)
        eye = torch.eye(self.outer.shape[-1], dtype=self.c.dtype, device=self.c.device)
        # B = C C', so that R = C^-T has R R' = B^-1.
        root = torch.linalg.solve_triangular(chol, eye.expand_as(chol), upper=False).mT
        return InducingPosterior(mean, root)


@dataclass(frozen=True)
class InducingPosterior:
    """q(v) = N(mean, R R') of the whitened inducing outputs of each channel; R is triangular."""

    mean: Float[Tensor, "*batch D M"]
    root: Float[Tensor, "*batch D M M"]

    def kl(self) -> Float[Tensor, "*batch D"]:
        """Return KL(q(f_m) || p(f_m)) of each channel in nats, which is KL(q(v) || N(0, I))."""
        log_det = self.root.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        return 0.5 * (self.root.square().sum((-2, -1)) + self.mean.square().sum(-1) - self.mean.shape[-1]) - log_det

    def marginals(self, at: InducingProjection) -> Marginals:
        """Return the marginals of q_S at the projected inputs (eq. 3)."""
        variance = at.unexplained.unsqueeze(-2) + (self.root.mT @ at.V.unsqueeze(-3)).square().sum(-2)
        return Marginals(self.mean @ at.V, variance)

    def weights(
        self, at: InducingProjection, given: InducingProjection, precision: Float[Tensor, "*batch D N"]
    ) -> Float[Tensor, "*batch D S N"]:
        """Return w of the means m_s = sum_i w_si y~_i, of an optimal posterior given N pseudo-observations.

        These are the rows of V_s' B^-1 V diag(sigma~^-2), which is k_s' Sigma^-1 K_mN diag(sigma~^-2) of eq. 4.

        Args:
            at: the S inputs at which is predicted.
            given: the instances, whose pseudo-observations have this precision.
        """
        covariance = (self.root.mT @ at.V.unsqueeze(-3)).mT @ (self.root.mT @ given.V.unsqueeze(-3))
        return covariance * precision.unsqueeze(-2)

    def unwhitened(self, points: InducingPoints) -> tuple[Float[Tensor, "*batch D M"], Float[Tensor, "*batch D M M"]]:
        """Return mu and A of q(f_m) = N(mu, A), as in eq. 9."""
        root = points.L @ self.root
        return self.mean @ points.L.T, root @ root.mT


def titsias_bound(at: InducingProjection, pseudo: PseudoObservations) -> Float[Tensor, "*batch D"]:
    """Return L_T of eq. 6 of each channel in nats, at the optimal q(f_m): a lower bound of log Z."""
    total = Statistics.of(at, pseudo)
    chol = cholesky_of_identity_plus(total.outer, PRECISION)
    # log N(y~; 0, V'V + S) by the Woodbury identity: y~' S^-1 y~ - c' B^-1 c, and |V'V + S| = |B| |S|
    explained = torch.linalg.solve_triangular(chol, total.c.unsqueeze(-1), upper=False).square().sum((-2, -1))
    square = (pseudo.precision * pseudo.mean.square()).sum(-1) - explained
    log_root_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    penalty = 0.5 * (pseudo.precision * at.unexplained.unsqueeze(-2)).sum(-1)
    return pseudo.log_normaliser() - 0.5 * square - log_root_det - penalty


def hensman_bound(
    q: InducingPosterior, at: InducingProjection, pseudo: PseudoObservations, scale: float = 1.0
) -> Float[Tensor, "*batch D"]:
    """Return L_H of eq. 7 of each channel in nats: a lower bound of L_T for any q(f_m).

    The paper prints the variance of the observations as sigma~^-2; sigma~^2 is meant.

    Args:
        scale: N / b for a batch of b of N instances.
    """
    return scale * pseudo.expected_log(q.marginals(at)).sum(-1) - q.kl()
