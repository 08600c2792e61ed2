"""The Bernoulli likelihood, p(x|g) = lambda^x (1 - lambda)^(1 - x) with lambda = sigmoid(g)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gpvae_core.likelihoods.base import LIKELIHOODS, LikelihoodConfig
from gpvae_core.likelihoods.exponential import ExponentialFamily


class BernoulliLikelihood(ExponentialFamily):
    """Bernoulli likelihood with logits g: log p(x|g) is minus the binary cross entropy, in nats.

    It is the log probability of black and white images (x in {0, 1}). As is customary, grey pixels are accepted too:
    the value is then the mean log probability over black and white images drawn with the grey levels as probabilities.
    As a density on [0, 1] it would not be normalised; the continuous Bernoulli is.
    """

    def log_partition(self, g: Tensor) -> Tensor:
        """Return A(g) = log(1 + e^g)."""
        return -nn.functional.logsigmoid(-g)  # does not overflow for large g

    def mean(self, g: Tensor) -> Tensor:
        """Return lambda = sigmoid(g)."""
        return g.sigmoid()

    @torch.no_grad()
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw black and white pixels."""
        return torch.bernoulli(g.sigmoid(), generator=generator)


@LIKELIHOODS.register("bernoulli")
class BernoulliConfig(LikelihoodConfig):
    """Bernoulli likelihood for black and white images; the decoder's output is a logit (grey levels are accepted)."""

    kind: ClassVar[str] = "bernoulli"
    shares: ClassVar[bool] = True

    def build(self) -> BernoulliLikelihood:
        return BernoulliLikelihood()
