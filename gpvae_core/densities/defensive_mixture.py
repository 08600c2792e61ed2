"""A proposal for importance sampling that covers the posterior: mostly a full Gaussian, partly another density."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior, Samples
from gpvae_core.densities.full_gaussian import FullGaussian

WIDER = 1.1
"""The Gaussian's standard deviations are scaled by this: tails lighter than the posterior's make weights explode."""
OTHER_SHARE = 0.1


class DefensiveMixture(Posterior):
    """(1 - s) N(mean, (w L)(w L)') + s q(z|x), with w = WIDER; q is the encoder's answer, or another such as the prior.

    Importance weights of a posterior p are then at most p / (s q), wherever the Gaussian misses some of it.
    """

    def __init__(
        self,
        mean: Float[Tensor, "B D"],
        chol: Float[Tensor, "B D D"],
        other: Posterior,
        share: float = OTHER_SHARE,
    ) -> None:
        self._gaussian, self._other, self._share = FullGaussian(mean, WIDER * chol), other, share

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw samples, reparametrised within a component; which component it is has no gradient."""
        m, chol = self._gaussian.m, self._gaussian.chol
        like = {"generator": generator, "device": m.device, "dtype": m.dtype}
        # NOTE: einsum multiplies all k samples of an image in one product; `chol @ eps` would copy chol k times.
        gaussian = m + torch.einsum("bij,kbj->kbi", chol, torch.randn((k, *m.shape), **like))
        other, _ = self._other.rsample_and_log_prob(k, generator)
        from_other = torch.rand((k, len(m), 1), **like) < self._share
        z = torch.where(from_other, other, gaussian)
        return z, self.log_prob(z)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        shares = math.log(1 - self._share), math.log(self._share)
        return torch.logaddexp(self._gaussian.log_prob(z) + shares[0], self._other.log_prob(z) + shares[1])

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (1 - self._share) * self._gaussian.mean + self._share * self._other.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        # Law of total variance: the mean of the variances, and the variance of the means.
        within = (1 - self._share) * self._gaussian.variance + self._share * self._other.variance
        return within + self._share * (1 - self._share) * (self._gaussian.mean - self._other.mean).square()

    def detached(self) -> DefensiveMixture:
        gaussian = self._gaussian.detached()
        return DefensiveMixture(gaussian.m, gaussian.chol / WIDER, self._other.detached(), self._share)
