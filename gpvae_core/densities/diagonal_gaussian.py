"""The Gaussian with diagonal covariance, N(m, Diag(s)^2)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Posterior, Samples, log_standard_normal


class DiagonalGaussian(Gaussian):
    """Diagonal Gaussian N(m, Diag(s)^2); s (B, 1) is common to all dimensions: N(m, s^2 I).

    >>> q = DiagonalGaussian(torch.zeros(1, 2), torch.full((1, 2), 0.5))
    >>> q.kl(DiagonalGaussian.standard(torch.zeros(1), 2))  # 2 * (0.25 - 1 - 2 log 0.5) / 2
    tensor([0.6363])
    """

    def __init__(self, m: Float[Tensor, "B D"], s: Float[Tensor, "B E"]) -> None:
        self.m, self._scale = m, s
        self.s = s if s.shape == m.shape else s.expand_as(m)

    @staticmethod
    def standard(like: Float[Tensor, "B ..."], d: int) -> DiagonalGaussian:
        """Return N(0, I) in `d` dimensions for each row of `like`, with its device and dtype."""
        standard = DiagonalGaussian(like.new_zeros(len(like), d), like.new_ones(len(like), 1))
        standard.same_in_every_frame = True
        return standard

    @staticmethod
    def matching(q: Posterior) -> DiagonalGaussian:
        """Return the diagonal Gaussian with the mean and the variances of q, which may be of any family."""
        return DiagonalGaussian(q.mean, q.variance.sqrt())

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        eps = torch.randn((k, *self.m.shape), generator=generator, device=self.m.device, dtype=self.m.dtype)
        return self.m + self.s * eps, self._log_prob_of_noise(eps)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self._log_prob_of_noise((z - self.m) / self.s)

    def _log_prob_of_noise(self, eps: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log q(m + s eps) in nats."""
        if self._scale is not self.s:  # one s for all dimensions: its logarithm is taken once
            return log_standard_normal(eps) - eps.shape[-1] * self._scale.log().squeeze(-1)
        return (-0.5 * eps.square() - self.s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.m

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.s.square()

    @property
    def scale(self) -> Float[Tensor, "B E"]:
        return self._scale

    def lower_factor(self) -> Float[Tensor, "B D D"]:
        return torch.diag_embed(self.s)

    def log_det(self) -> Float[Tensor, " B"]:
        return self.s.log().sum(-1)

    def whiten(self, columns: Float[Tensor, "B D C"]) -> Float[Tensor, "B D C"]:
        return columns / self._scale.unsqueeze(-1)

    def kl_to(self, p: Gaussian) -> Float[Tensor, " B"]:
        return p.kl_from_diagonal(self.m, self.s.square(), 2.0 * self.s.log())

    def detached(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.m.detach(), self._scale.detach())


def is_diagonal_gaussian(q: Posterior, generator: torch.Generator | None = None) -> bool:
    """Return whether q is a Gaussian with a diagonal covariance.

    A `Gaussian` tells by its class. For other families (a mixture with one component, a flow that is the identity)
    log q(z|x) at a few samples is compared with that of the Gaussian with q's mean and variances.
    """
    gaussian = q.as_gaussian()
    if gaussian is not None and gaussian.scale is not None:
        return True
    z, log_q = q.rsample_and_log_prob(8, generator)
    return bool(torch.allclose(log_q, DiagonalGaussian.matching(q).log_prob(z), atol=0.01, rtol=1e-4))
