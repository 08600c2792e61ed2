"""The SVGP-VAE: sparse posteriors by mini-batch estimates of Titsias's optimum (Jazbec et al. 2021, sec. 3.4)."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import Statistics
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import InducingConfig
from gpvae_core.inference.gp_prior.model import Approximation
from gpvae_core.inference.gp_prior.sparse import OptimalPosterior
from gpvae_core.priors.gp import GPPrior


class BatchOptimum(OptimalPosterior):
    """q(f_m) = N(mu_b, A_b) of eq. 9, and the KL term of the bound of eq. 10.

    As E_q log q~(z_i|y_i) in eq. 10 cancels with the same term of L_H (Prop. B.1), what remains is

        sum_i E log p(y_i|z_i) - (b / N) sum_l KL(q(f_m^l) || p(f_m^l)),

    and the encoder's gradient flows through mu_b and A_b alone.
    """

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        at = self.inducing.project(prior, self.inducing.points(prior), inputs)
        q = Statistics.of(at, pseudo).scaled(1 / share).posterior()
        return Approximation(q.marginals(at), share * q.kl().sum(-1))


@INFERENCES.register("svgp")
class SvgpConfig(InducingConfig):
    """SVGP-VAE of Jazbec et al. 2021: inducing points, mini-batches and an amortized encoder (eq. 9, 10)."""

    kind: ClassVar[str] = "svgp"
    method: ClassVar[str] = "svgp"
    needs_whole_groups: ClassVar[bool] = False

    def family(self, width: int, latent_dim: int) -> BatchOptimum:
        return BatchOptimum(self.inducing(width))
