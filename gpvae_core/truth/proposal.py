"""A proposal for importance sampling that covers the posterior: mostly the best full Gaussian, partly the encoder."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior, Samples, Uncertainty, sampled_kl

WIDER = 1.1
"""The Gaussian's standard deviations are scaled by this: tails lighter than the posterior's make weights explode."""
ENCODER_SHARE = 0.1
KL_SAMPLES = 64


class DefensiveMixture(Posterior):
    """(1 - s) N(mean, (w L)(w L)') + s q(z|x), with w = WIDER; q is the encoder's or any other, such as the prior."""

    def __init__(
        self,
        mean: Float[Tensor, "B D"],
        chol: Float[Tensor, "B D D"],
        encoder: Posterior,
        share: float = ENCODER_SHARE,
    ) -> None:
        self._mean, self._chol, self._encoder, self._share = mean, WIDER * chol, encoder, share

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        """Samples are reparametrised within a component; which component it is has no gradient."""
        like = {"generator": generator, "device": self._mean.device, "dtype": self._mean.dtype}
        eps = torch.randn((k, *self._mean.shape), **like)
        gaussian = self._mean + torch.einsum("bij,kbj->kbi", self._chol, eps)
        encoder, _ = self._encoder.rsample_and_log_prob(k, generator)
        from_encoder = torch.rand((k, len(self._mean), 1), **like) < self._share
        z = torch.where(from_encoder, encoder, gaussian)
        return z, self.log_prob(z)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        white = torch.linalg.solve_triangular(self._chol, (z - self._mean).unsqueeze(-1), upper=False).squeeze(-1)
        log_det = self._chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        gaussian = -0.5 * white.square().sum(-1) - log_det - 0.5 * z.shape[-1] * math.log(2 * math.pi)
        shares = math.log(1 - self._share), math.log(self._share)
        return torch.logaddexp(gaussian + shares[0], self._encoder.log_prob(z) + shares[1])

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (1 - self._share) * self._mean + self._share * self._encoder.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        within = (1 - self._share) * self._chol.square().sum(-1) + self._share * self._encoder.variance
        return within + self._share * (1 - self._share) * (self._mean - self._encoder.mean).square()

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """KL to N(0, I) by Monte Carlo; a mixture's has no closed form."""
        return sampled_kl(samples or self.rsample_and_log_prob(KL_SAMPLES, generator))

    def detached(self) -> DefensiveMixture:
        return DefensiveMixture(self._mean.detach(), self._chol.detach() / WIDER, self._encoder.detached())

    def base(self) -> Posterior:
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None
