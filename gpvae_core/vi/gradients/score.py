"""The score-function estimator of black-box variational inference, and its variants with less variance."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.part import MOST
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.gradients.base import GRADIENTS, Drawn, GradientConfig, scores


def _score_samples(draw: Drawn) -> tuple[Float[Tensor, "K P"], Float[Tensor, " K"]]:
    """Return the score of each of K samples and log p(x, z) - log q(z), whose product has the mean of the gradient."""
    q = draw.family.density()
    z = q.rsample_and_log_prob(draw.k, draw.generator)[0].detach()
    log_q = q.log_prob(z)[:, 0]
    return scores(log_q, draw.family), (draw.log_density(z[:, 0]) - log_q).detach()


def without_control(g: Float[Tensor, "K P"], score: Float[Tensor, "K P"]) -> Float[Tensor, " P"]:
    """Return the mean of g - a h, with the score h as the control variate, whose mean is zero.

    The best a = Cov(g, h) / Var(h) of each sample is estimated from the others, so that the mean stays what it is
    (Ranganath et al. 2014, sec. 3.2, estimate it from all of them).
    """
    k = len(g)
    if k < 3:
        raise UserError(f"a control variate wants at least 3 samples, got {k}")

    def others(values: Tensor) -> Tensor:
        return (values.sum(0) - values) / (k - 1)

    covariance = others(g * score) - others(g) * others(score)
    variance = others(score.square()) - others(score).square()
    return (g - covariance / variance.clamp_min(1e-30) * score).mean(0)


@GRADIENTS.register("score")
class ScoreFunctionConfig(GradientConfig):
    """Score function: (log p(x, z) - log q(z)) grad log q(z), of any target (Ranganath et al. 2014; eq. 14)."""

    kind: ClassVar[str] = "score"

    def estimate(self, draw: Drawn) -> Tensor:
        score, log_w = _score_samples(draw)
        return (score * log_w.unsqueeze(-1)).mean(0)


@GRADIENTS.register("score-cv")
class ScoreControlConfig(GradientConfig):
    """Score function with the score itself as the control variate (Ranganath et al. 2014, sec. 3.2)."""

    kind: ClassVar[str] = "score-cv"

    def estimate(self, draw: Drawn) -> Tensor:
        score, log_w = _score_samples(draw)
        return without_control(score * log_w.unsqueeze(-1), score)


class _RaoBlackwell(GradientConfig):
    """Score function of each latent with those terms of log p and log q alone that depend on it.

    The expectation over the other latents of the terms that are left out, times the score of this one, is zero: they
    are integrated out (Ranganath et al. 2014, sec. 3.1).
    """

    mean_field: ClassVar[bool] = True

    def _products(self, draw: Drawn) -> tuple[Float[Tensor, "K P"], Float[Tensor, "K P"]]:
        q = draw.family.density()
        if not (isinstance(draw.family, GaussianFamily) and isinstance(q, DiagonalGaussian)):
            raise UserError(f"the gradient estimator '{self.kind}' wants the family mean-field")
        z = q.rsample_and_log_prob(draw.k, draw.generator)[0].detach()
        score = scores(q.log_prob(z)[:, 0], draw.family)
        log_q = -0.5 * ((z - q.m) / q.s)[:, 0].square() - q.s.log()
        log_w = (draw.target.log_factors(z[:, 0], draw.index) - log_q).detach()
        return score * torch.cat([log_w, log_w], 1), score  # the parameters are m, then log s


@GRADIENTS.register("score-rb")
class RaoBlackwellConfig(_RaoBlackwell):
    """Score function, Rao-Blackwellised: for each latent the terms alone that depend on it (mean field)."""

    kind: ClassVar[str] = "score-rb"

    def estimate(self, draw: Drawn) -> Tensor:
        return self._products(draw)[0].mean(0)


@GRADIENTS.register("score-rb-cv")
class RaoBlackwellControlConfig(_RaoBlackwell):
    """Score function, Rao-Blackwellised and with the control variate, as Ranganath et al. 2014 use it (mean field)."""

    kind: ClassVar[str] = "score-rb-cv"

    def estimate(self, draw: Drawn) -> Tensor:
        return without_control(*self._products(draw))


@GRADIENTS.register("score-is")
class OverdispersedConfig(GradientConfig):
    """Score function by importance sampling from a wider proposal (overdispersed; Ruiz et al. 2016)."""

    kind: ClassVar[str] = "score-is"
    dispersion: float = Field(default=1.5, ge=1, le=MOST, description="factor of the proposal's variances over q's")

    def estimate(self, draw: Drawn) -> Tensor:
        q = draw.family.density()
        proposal = DiagonalGaussian(q.mean.detach(), (self.dispersion * q.variance.detach()).sqrt())
        z = proposal.rsample_and_log_prob(draw.k, draw.generator)[0]
        log_q = q.log_prob(z)[:, 0]
        log_w = (draw.log_density(z[:, 0]) - log_q).detach()
        weight = (log_q.detach() - proposal.log_prob(z)[:, 0]).exp()
        return (scores(log_q, draw.family) * (weight * log_w).unsqueeze(-1)).mean(0)
