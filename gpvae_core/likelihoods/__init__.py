"""log p(x|z): one file per likelihood."""

from gpvae_core.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodConfig, LikelihoodTable
from gpvae_core.likelihoods.gaussian import Gaussian, GaussianConfig

__all__ = ["LIKELIHOODS", "Gaussian", "GaussianConfig", "Likelihood", "LikelihoodConfig", "LikelihoodTable"]
