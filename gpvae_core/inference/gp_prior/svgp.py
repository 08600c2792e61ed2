"""The SVGP-VAE: sparse posteriors by mini-batch estimates of Titsias's optimum (Jazbec et al. 2021, sec. 3.4)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from gpvae_core.encoders.base import ALL_AT_ONCE, Stage
from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import Statistics
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import InducingConfig
from gpvae_core.inference.gp_prior.model import Approximation, GPModel
from gpvae_core.inference.gp_prior.representation import Representation
from gpvae_core.inference.gp_prior.sparse import OptimalPosterior
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST, MOST_COUNT
from gpvae_core.priors.gp import GPPrior
from gpvae_core.vae import VAE


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
    representation: str = Field(
        default="",
        description="category whose vectors a network finds from its images, so that unseen ones have one too, such as "
        "character; batches are of whole categories then (A.3; default: none, all vectors are learned)",
    )
    context: int = Field(
        default=36,
        ge=1,
        le=MOST_COUNT,
        description="number of images, the first stored ones, from which the vector of a category without training "
        "images is found; they are not scored",
    )
    pretrain_share: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of the epochs in which the representation network is first trained alone, to classify",
    )
    pretrain_rate: float = Field(default=10.0, gt=0, le=MOST, description="factor of the learning rate in these epochs")

    @model_validator(mode="after")
    def _representation_has_its_settings(self) -> SvgpConfig:
        for name in () if self.representation else ("context", "pretrain_share", "pretrain_rate"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect without representation: leave it out")
        return self

    @property
    def represented(self) -> str:
        return self.representation

    def adapt(self, vae: VAE, net: NetConfig, decoder: NetConfig) -> None:
        """Add the representation network."""
        assert isinstance(vae.extra, GPModel)
        if self.representation:
            if vae.extra.prior.group:
                raise UserError("representation has no effect with groups: wanted no prior.group, or leave it out")
            categories, size = vae.extra.prior.inputs.vectors.shape
            pretrained = self.pretrain_share > 0
            vae.extra.representation = Representation(vae.event_shape, size, categories, self.context, pretrained)

    def stages(self, vae: VAE) -> tuple[Stage, ...]:
        """Return the stage that trains the representation network alone, and that of the bound."""
        assert isinstance(vae.extra, GPModel)
        network = vae.extra.representation
        if network is None or not self.pretrain_share:
            return ALL_AT_ONCE
        begin, end = (partial(setattr, network, "pretraining", value) for value in (True, False))
        first = Stage(
            "representation", ("extra.representation.",), self.pretrain_share, enter=begin, rate=self.pretrain_rate
        )
        return first, Stage("all", ("",), 1 - self.pretrain_share, enter=end)

    def family(self, width: int, latent_dim: int) -> BatchOptimum:
        return BatchOptimum(self.inducing(width))
