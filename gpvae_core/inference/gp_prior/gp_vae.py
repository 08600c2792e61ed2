"""The GP-VAE of Pearce 2020: exact GP posteriors given the encoder's pseudo-observations."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.gp_prior.exact import ExactPosterior
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import WholeGroupsConfig
from gpvae_core.inference.gp_prior.model import Approximation, Family, LinearPredictor, Predictor
from gpvae_core.priors.gp import GPPrior


class ExactPredictor(LinearPredictor):
    """The exact posterior of one group, in time O(N^3)."""

    def __init__(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> None:
        self._prior, self._inputs = prior, inputs
        self._posterior = ExactPosterior(prior.kernel.matrix(inputs, inputs), pseudo)

    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        kernel = self._prior.kernel
        return self._posterior.predict(kernel.matrix(self._inputs, inputs), kernel.diagonal(inputs))

    def weights(self, inputs: Float[Tensor, "S F"]) -> Float[Tensor, "D S N"]:
        return self._posterior.weights(self._prior.kernel.matrix(self._inputs, inputs))


class Exact(Family):
    """q(Z) is the exact posterior of eq. 1, and the KL term of eq. 2 is E_q log q~(Z|Y) - log Z."""

    rests_on_observations: ClassVar[bool] = True
    is_smoother: ClassVar[bool] = True

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        posterior = ExactPosterior(prior.kernel.matrix(inputs, inputs).unsqueeze(-3), pseudo)
        q = posterior.marginals()
        return Approximation(q, (pseudo.expected_log(q).sum(-1) - posterior.log_evidence()).sum(-1))

    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        return ExactPredictor(prior, inputs, pseudo)


@INFERENCES.register("gp-vae")
class ExactConfig(WholeGroupsConfig):
    """GP-VAE of Pearce 2020: exact GP posteriors of whole groups, such as videos, in time O(T^3) each."""

    kind: ClassVar[str] = "gp-vae"
    method: ClassVar[str] = "gp-vae"

    def family(self, width: int, latent_dim: int) -> Exact:
        return Exact()
