"""The GPPVAE: a factorised posterior under a GP prior of low rank (Casale et al. 2018; Jazbec et al. 2021, B.3)."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from gpvae_core.covariances.parameters import Positive
from gpvae_core.encoders.base import ALL_AT_ONCE, Stage
from gpvae_core.errors import UserError
from gpvae_core.gp_prior.low_rank import LowRankPrior
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import GPPriorInferenceConfig
from gpvae_core.inference.gp_prior.model import Approximation, Family, GPModel, LinearPredictor, Predictor
from gpvae_core.part import MOST
from gpvae_core.priors.gp import GPPrior
from gpvae_core.vae import VAE

WHITE = re.compile(r"\s*\+\s*white\([^()]*\)(?=\s*(?:\+|$))")
"""White noise that is added to a kernel, and is no factor of a product."""


class LowRankPredictor(LinearPredictor):
    """The prior's prediction from latents of which q(z_i) = N(mu_i, sigma_i^2) is known, in time O(N H^2).

    Its means are k_s' K^-1 mu with K = V V' + alpha I, so that every channel has the same weights, and one of 0 at an
    instance that was not observed.
    """

    def __init__(self, prior: GPPrior, alpha: Tensor, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> None:
        q, (at,) = _encoded(pseudo), pseudo.observed.all(0).nonzero(as_tuple=True)
        self._prior, self._q, self._at = prior, Marginals(q.mean[:, at], q.variance[:, at]), at
        self._shape = pseudo.mean.shape
        self._factor = prior.kernel.factor(inputs[at], prior.config.jitter)
        self._process = LowRankPrior(self._factor.V, alpha)

    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        return self._process.predict(self._factor.at(inputs), self._prior.kernel.diagonal(inputs), self._q)

    def process(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        return self._process.process(self._factor.at(inputs), self._prior.kernel.diagonal(inputs), self._q)

    def weights(self, inputs: Float[Tensor, "S F"]) -> Float[Tensor, "D S N"]:
        (channels, instances), observed = self._shape, self._process.weights(self._factor.at(inputs))
        w = observed.new_zeros(len(inputs), instances).index_copy(1, self._at, observed)
        return w.expand(channels, -1, -1)


class LowRank(Family):
    """q(Z) = prod_i N(z_i; mu_i, sigma_i^2) is what the encoder says, and p(Z) = N(0, V V' + alpha I) in each channel.

    The bound is sum_i E_q log p(y_i|z_i) - KL(q(Z) || p(Z)) with the KL of all N instances, in closed form. A step on b
    of them maximises b / N of it, in which the gradient of the KL in the batch's own mu_i, sigma_i is that of the whole
    term: over the batches of an epoch, each instance is once in a batch. With b = N the step is that of the public code
    of Casale et al., whose Taylor terms are this gradient, backpropagated batch by batch.
    """

    is_smoother: ClassVar[bool] = True

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = Positive(alpha, True)
        self.plain = False
        """Whether the prior is N(0, I) instead, in the stage that trains a plain VAE."""

    def check(self, prior: GPPrior) -> None:
        if prior.group:
            raise UserError(
                f"method 'gppvae' has one prior of low rank over all instances: wanted no groups (--set prior.group=), "
                f"such as a kernel times same({prior.group})"
            )
        kernel = prior.config.kernel
        if (without := WHITE.sub("", kernel)) != kernel:
            raise UserError(
                f"method 'gppvae' has noise alpha of its own, and white noise has no low rank: wanted --set "
                f"prior.kernel='{without}'"
            )

    def start(self, prior: GPPrior, inputs: Float[Tensor, "N F"], seed: int) -> None:
        prior.kernel.factor(inputs, prior.config.jitter)  # which raises UserError if there is none

    def takes_all(self) -> bool:
        return not self.plain

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        q = _encoded(pseudo)
        if self.plain:
            square = q.mean.square() + q.variance
            return Approximation(q, 0.5 * ((square - 1 - q.variance.log()) * pseudo.observed).sum((-1, -2)))
        (at,) = pseudo.observed[0].all(0).nonzero(as_tuple=True)
        own = Marginals(_scaled(q.mean[0][:, at], 1 / share), _scaled(q.variance[0][:, at], 1 / share))
        process = LowRankPrior(prior.kernel.factor(inputs[0, at], prior.config.jitter).V, self.alpha())
        negative_entropy = -0.5 * (own.variance.log() + math.log(2 * math.pi) + 1).sum(-1)
        return Approximation(q, share * (negative_entropy - process.expected_log(own)).sum(-1, keepdim=True))

    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        return LowRankPredictor(prior, self.alpha(), inputs, pseudo)


def _encoded(pseudo: PseudoObservations) -> Marginals:
    """Return the encoder's q(z_i); N(mu_i, 1) stands at an instance that was not observed, and is not used."""
    return Marginals(pseudo.mean, 1 / torch.where(pseudo.precision > 0, pseudo.precision, 1.0))


def _scaled(values: Tensor, factor: float) -> Tensor:
    """Return the values, with `factor` times their gradient."""
    constant = values.detach()
    return constant + factor * (values - constant)


VAE_PARTS = ("encoder.", "decoder.", "likelihood.")
"""Prefixes of the parameters of a plain VAE, of which `extra.` are those of the prior."""


@INFERENCES.register("gppvae")
class GppvaeConfig(GPPriorInferenceConfig):
    """GPPVAE of Casale et al. 2018: the encoder's own posteriors under a GP prior of low rank plus noise alpha."""

    kind: ClassVar[str] = "gppvae"
    method: ClassVar[str] = "gppvae"
    takes_groups: ClassVar[bool] = False
    needs_whole_groups: ClassVar[bool] = False
    alpha: float = Field(default=0.1, gt=0, le=MOST, description="variance alpha of the prior's noise at the start")
    regime: Literal["joint", "disjoint", "pretrained"] = Field(
        default="joint",
        description="what is trained when: joint, all at once; disjoint, first encoder and decoder as a plain VAE, "
        "then the prior alone (Jazbec et al. 2021, A.2); pretrained, first the plain VAE, then all",
    )
    vae_share: float = Field(
        default=0.5, gt=0, lt=1, description="share of the epochs of the plain VAE (regime=disjoint or pretrained)"
    )
    prior_rate: float = Field(
        default=10.0,
        gt=0,
        le=MOST,
        description="factor of the learning rate while the prior is trained alone (regime=disjoint)",
    )

    @model_validator(mode="after")
    def _regime_has_its_settings(self) -> GppvaeConfig:
        without = {"joint": ("vae_share", "prior_rate"), "pretrained": ("prior_rate",), "disjoint": ()}[self.regime]
        for name in without:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect with regime={self.regime}: leave it out")
        return self

    def family(self, width: int, latent_dim: int) -> LowRank:
        return LowRank(self.alpha)

    def stages(self, vae: VAE) -> tuple[Stage, ...]:
        """Return the stages of the regime, in the first of which the prior may be N(0, I)."""
        assert isinstance(vae.extra, GPModel)
        family = vae.extra.family
        if self.regime == "joint":
            return ALL_AT_ONCE
        first = Stage("vae", VAE_PARTS, self.vae_share, enter=partial(setattr, family, "plain", True))
        enter = partial(setattr, family, "plain", False)
        if self.regime == "disjoint":
            return first, Stage("prior", ("extra.",), 1 - self.vae_share, enter=enter, rate=self.prior_rate)
        return first, Stage("all", ("",), 1 - self.vae_share, enter=enter)
