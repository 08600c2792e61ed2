"""The GP-VAE with the sparse bound of Titsias 2009 (Jazbec et al. 2021, eq. 6 and B.4)."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import Statistics, titsias_bound
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import InducingConfig
from gpvae_core.inference.gp_prior.model import Approximation
from gpvae_core.inference.gp_prior.sparse import OptimalPosterior
from gpvae_core.priors.gp import GPPrior


class TitsiasOptimum(OptimalPosterior):
    """q(f_m) = N(mu_T, A_T) of eq. 4 and 5 of whole groups; the KL term of L_PT (B.4) is E_q log q~(Z|Y) - L_T.

    Of the same q(f_m), this is the KL term of `BatchOptimum` for b = N, as L_T is L_H at the optimum.
    """

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        at = self.inducing.project(prior, self.inducing.points(prior), inputs)
        q = Statistics.of(at, pseudo).posterior().marginals(at)
        return Approximation(q, (pseudo.expected_log(q).sum(-1) - titsias_bound(at, pseudo)).sum(-1))


@INFERENCES.register("titsias")
class TitsiasConfig(InducingConfig):
    """GP-VAE with the sparse bound of Titsias 2009, on whole groups (Jazbec et al. 2021, B.4)."""

    kind: ClassVar[str] = "titsias"
    method: ClassVar[str] = "titsias"

    def family(self, width: int, latent_dim: int) -> TitsiasOptimum:
        return TitsiasOptimum(self.inducing(width))
