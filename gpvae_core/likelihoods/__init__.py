"""Likelihoods p(x|z), one in each file."""

from gpvae_core.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodConfig, LikelihoodTable
from gpvae_core.likelihoods.bernoulli import BernoulliConfig, BernoulliLikelihood
from gpvae_core.likelihoods.continuous_bernoulli import ContinuousBernoulliConfig, ContinuousBernoulliLikelihood
from gpvae_core.likelihoods.gaussian import GaussianConfig, GaussianLikelihood

__all__ = [
    "LIKELIHOODS",
    "BernoulliConfig",
    "BernoulliLikelihood",
    "ContinuousBernoulliConfig",
    "ContinuousBernoulliLikelihood",
    "GaussianConfig",
    "GaussianLikelihood",
    "Likelihood",
    "LikelihoodConfig",
    "LikelihoodTable",
]
