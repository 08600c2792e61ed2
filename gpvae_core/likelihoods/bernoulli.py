"""The Bernoulli likelihood, p(x|g) = lambda^x (1 - lambda)^(1 - x) with lambda = sigmoid(g)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gpvae_core.likelihoods.base import LIKELIHOODS, LikelihoodConfig
from gpvae_core.likelihoods.exponential import ExponentialFamily


class BernoulliLikelihood(ExponentialFamily):
    """Minus the binary cross entropy with logits g, in nats.

    It is the log probability of black and white images (x in {0, 1}). Grey pixels in between are taken too, as is
    custom: the value is then the mean log probability over black and white images drawn with the grey levels as
    probabilities, and no density on [0, 1], whose integral is below one. The continuous Bernoulli's is one.
    """

    def log_partition(self, g: Tensor) -> Tensor:
        """Return A(g) = log(1 + e^g)."""
        return -nn.functional.logsigmoid(-g)

    def mean(self, g: Tensor) -> Tensor:
        """Return lambda = sigmoid(g)."""
        return g.sigmoid()

    @torch.no_grad()
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw black and white pixels."""
        return torch.bernoulli(g.sigmoid(), generator=generator)


@LIKELIHOODS.register("bernoulli")
class BernoulliConfig(LikelihoodConfig):
    """Bernoulli likelihood for black and white images; the decoder gives logits (grey levels are taken as well)."""

    kind: ClassVar[str] = "bernoulli"

    def build(self) -> BernoulliLikelihood:
        return BernoulliLikelihood()
