"""log p(x|z): one file per likelihood."""

from gpvae_core.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodConfig, LikelihoodTable
from gpvae_core.likelihoods.bernoulli import Bernoulli, BernoulliConfig
from gpvae_core.likelihoods.continuous_bernoulli import ContinuousBernoulli, ContinuousBernoulliConfig
from gpvae_core.likelihoods.gaussian import Gaussian, GaussianConfig

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "BernoulliConfig",
    "ContinuousBernoulli",
    "ContinuousBernoulliConfig",
    "Gaussian",
    "GaussianConfig",
    "Likelihood",
    "LikelihoodConfig",
    "LikelihoodTable",
]
