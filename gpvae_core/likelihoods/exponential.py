"""Exponential families p(x|g) = exp(x g - A(g)) of pixels, with the decoder output g as natural parameter (a logit)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpvae_core.likelihoods.base import Likelihood, LikelihoodTable

CHUNK = 4096
"""Number of decoder outputs whose log partitions are computed together."""


class LogitTable(LikelihoodTable):
    """Evaluates log p(x|z_i) = x'(g_i - c) + x'c - sum A(g_i) by one matrix product.

    c is the mean decoder output; without it the product, in float32, would be larger and have larger rounding errors.
    The other terms are summed in float64 and in numpy, as in `DistanceTable`.
    """

    def __init__(self, g: Float[Tensor, "G C H W"], log_partition: Float[Tensor, " G"]) -> None:
        self._c = g.mean(0).flatten()
        self._g = g.flatten(1).sub_(self._c)
        self._log_partition = log_partition.numpy()

    def log_prob(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B G"]:
        flat = x.to(self._g).flatten(1)
        # x'(g_i - c) - sum A(g_i) + x'c
        log_p = (flat @ self._g.T).cpu().double().numpy()
        log_p -= self._log_partition
        log_p += (flat.cpu().double() @ self._c.cpu().double()).numpy()[:, None]
        return torch.from_numpy(log_p)


class ExponentialFamily(Likelihood, ABC):
    """Likelihood p(x|g) = exp(x g - A(g)) of each pixel, without parameters of its own."""

    @abstractmethod
    def log_partition(self, g: Tensor) -> Tensor:
        """Return A(g) of each pixel in nats; it and its derivatives must be accurate for every logit."""

    def log_prob(
        self,
        x: Float[Tensor, "*#batch C H W"],
        g: Float[Tensor, "*#batch C H W"],
        observed: Bool[Tensor, "*#batch 1 H W"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        logit = g.to(x.dtype)  # under autocast the decoder's output is in half precision
        log_p = x * logit - self.log_partition(logit)
        return (log_p if observed is None else torch.where(observed, log_p, 0.0)).sum(dim=(-3, -2, -1))

    def kl(self, g: Float[Tensor, "*#batch C H W"], other: Float[Tensor, "*#batch C H W"]) -> Float[Tensor, "*batch"]:
        """Return KL(p(x|g) || p(x|other)) = A(other) - A(g) - (other - g) A'(g) in nats, as A'(g) = E[x|g]."""
        divergence = self.log_partition(other) - self.log_partition(g) - (other - g) * self.mean(g)
        return divergence.sum(dim=(-3, -2, -1))

    @torch.no_grad()
    def grid_table(self, g: Float[Tensor, "G C H W"]) -> LogitTable:
        parts = [self.log_partition(part).flatten(1).cpu().double().sum(1) for part in g.split(CHUNK)]
        return LogitTable(g, torch.cat(parts))

    def noise_scale(self) -> float | None:
        return None
