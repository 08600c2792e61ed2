"""The GP-VAE with the bound of Hensman et al. 2013, in which the encoder has no part (Jazbec et al. 2021, B.1, B.2)."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import InducingPosterior
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import InducingConfig
from gpvae_core.inference.gp_prior.model import Approximation, Family, Predictor
from gpvae_core.inference.gp_prior.sparse import Inducing, SparsePredictor
from gpvae_core.priors.gp import GPPrior


class FreePosterior(Family):
    """q(f_m^l) = N(mu^l, A^l) with free mu and A, the same for all batches; the bound L_PH of eq. 8.

    What the encoder says cancels in L_PH (Prop. B.1, B.2), so that its gradient is exactly zero: the
    pseudo-observations are not used, and the encoder stays as it began.
    """

    def __init__(self, inducing: Inducing, latent_dim: int) -> None:
        super().__init__()
        self.inducing = inducing
        m = len(inducing.inputs)
        # In whitened coordinates, where the prior of f_m is N(0, I).
        self.mean = nn.Parameter(torch.zeros(latent_dim, m, dtype=torch.float64))
        self.below = nn.Parameter(torch.zeros(latent_dim, m, m, dtype=torch.float64))
        self.log_diagonal = nn.Parameter(torch.zeros(latent_dim, m, dtype=torch.float64))

    def start(self, prior: GPPrior, inputs: Float[Tensor, "N F"], seed: int) -> None:
        self.inducing.start(prior, inputs, seed)
        # Means of zero in all channels would be a saddle point of the symmetric channels.
        noise = torch.randn(self.mean.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.mean.copy_(0.1 * noise)

    def check(self, prior: GPPrior) -> None:
        if prior.group:
            raise UserError(
                f"this method has one posterior of the inducing outputs for all instances, and those of each "
                f"'{prior.group}' have functions of their own: wanted no groups (--set prior.group=)"
            )

    def posterior(self) -> InducingPosterior:
        """Return q(v) of each channel."""
        return InducingPosterior(self.mean, self.below.tril(-1) + torch.diag_embed(self.log_diagonal.exp()))

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        at = self.inducing.project(prior, self.inducing.points(prior), inputs)
        q = self.posterior()
        return Approximation(q.marginals(at), share * q.kl().sum(-1, keepdim=True))

    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        return SparsePredictor(self.inducing, prior, self.inducing.points(prior), self.posterior())


@INFERENCES.register("hensman")
class HensmanConfig(InducingConfig):
    """GP-VAE with the bound of Hensman et al. 2013: q(f_m) is free, and the encoder is not trained (eq. 8)."""

    kind: ClassVar[str] = "hensman"
    method: ClassVar[str] = "hensman"
    takes_groups: ClassVar[bool] = False
    needs_whole_groups: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ("least_variance", "largest_variance")

    def family(self, width: int, latent_dim: int) -> FreePosterior:
        return FreePosterior(self.inducing(width), latent_dim)
