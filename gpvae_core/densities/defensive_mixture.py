"""A defensive mixture for importance sampling: mostly a full Gaussian, partly a density that covers its gaps."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior, Samples
from gpvae_core.densities.full_gaussian import FullGaussian

WIDENING = 1.1
"""Factor of the Gaussian's standard deviations, as tails lighter than the posterior's give infinite variance."""
OTHER_SHARE = 0.1
"""Weight of the other density in the mixture."""


class DefensiveMixture(Posterior):
    """(1 - s) N(mean, (w L)(w L)') + s q(z|x), with w = WIDENING and q the encoder's posterior or the prior.

    Where the Gaussian misses mass of a posterior p, the importance weights are still at most p / (s q).
    """

    def __init__(
        self,
        mean: Float[Tensor, "B D"],
        chol: Float[Tensor, "B D D"],
        other: Posterior,
        share: float = OTHER_SHARE,
    ) -> None:
        self._gaussian, self._other, self._share = FullGaussian(mean, WIDENING * chol), other, share

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw samples, reparametrised within a component; the choice of the component has no gradient."""
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
        return DefensiveMixture(gaussian.m, gaussian.chol / WIDENING, self._other.detached(), self._share)
