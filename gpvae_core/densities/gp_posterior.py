"""The posterior of the Gaussian-process encoder, marginalised over its random functions (Kim & Pavlovic 2021, eq. 13).

Given the functions, q(z|x,W,U) = N(b + f, Diag(c + h)^2) with f_j ~ N(f_mean, f_var) and h_j ~ N(h_mean, h_var).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import KL_SAMPLES, Posterior, Samples, Uncertainty
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.gp.log_square import expected_log_square, sampled_log_square

ExpectedKL = Literal["monte_carlo", "closed_form"]
MIN_VARIANCE = 1e-12
"""Lower bound of v, whose square root is taken."""


@dataclass(frozen=True)
class FunctionMoments:
    """Moments under q(W,U) of the random functions b + f and c + h at a batch of images; each (B, D)."""

    b: Float[Tensor, "B D"]
    c: Float[Tensor, "B D"]
    f_mean: Float[Tensor, "B D"]
    f_var: Float[Tensor, "B D"]
    h_mean: Float[Tensor, "B D"]
    h_var: Float[Tensor, "B D"]

    @property
    def m(self) -> Float[Tensor, "B D"]:
        """Mean m of the marginalised encoder (eq. 13)."""
        return self.b + self.f_mean

    @property
    def v(self) -> Float[Tensor, "B D"]:
        """Variance v of the marginalised encoder (eq. 13).

        As a sum of squares, (c + eta' psi)^2 + psi' Sigma psi + psi' Gamma psi, it cannot become negative by rounding.
        """
        return (self.c + self.h_mean).square() + self.f_var + self.h_var

    def sample(self, k: int, generator: torch.Generator | None = None) -> Float[Tensor, "K B D"]:
        """Draw k samples z ~ q(z|x,W,U) for each image, each with its own draw of W and U."""
        shape = (3, k, *self.b.shape)
        f, h, eps = torch.randn(shape, generator=generator, device=self.b.device, dtype=self.b.dtype)
        mean, std = self.m + self.f_var.sqrt() * f, self.c + self.h_mean + self.h_var.sqrt() * h
        return mean + std * eps


class GPPosterior(Posterior):
    """The marginalised encoder N(m, Diag(v)), with the moments of the random functions that were marginalised out."""

    base_name: ClassVar[str] = "the base encoder"

    def __init__(self, moments: FunctionMoments, expected_kl: ExpectedKL, kl_samples: int) -> None:
        self.moments = moments
        self._expected_kl = expected_kl
        self._kl_samples = kl_samples
        self._marginal = DiagonalGaussian(moments.m, moments.v.clamp_min(MIN_VARIANCE).sqrt())

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        return self._marginal.rsample_and_log_prob(k, generator)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self._marginal.log_prob(z)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self._marginal.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self._marginal.variance

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return E_q(W,U)[KL(q(z|x,W,U) || prior)], eq. 16. It is not the KL of the marginalised encoder."""
        log_square, p = self._expected_log_square(generator), prior.as_gaussian()
        if p is not None:
            # For a Gaussian prior the KL is linear in E[z z'], of which W and U leave m and v, and in E log (c + h)^2.
            return p.kl_from_diagonal(self.moments.m, self.moments.v, log_square)
        # For any other prior it is -E H(q(z|x,W,U)) - E log p(z), the second term by samples of W, U and z.
        entropy = 0.5 * (log_square + 1.0 + math.log(2 * math.pi)).sum(-1)
        return -entropy - prior.log_prob(self.moments.sample(KL_SAMPLES, generator)).mean(0)

    def _expected_log_square(self, generator: torch.Generator | None) -> Float[Tensor, "B D"]:
        """Return E log (c + h)^2 for h ~ N(h_mean, h_var), the last term of eq. 16."""
        a, t = self.moments.c + self.moments.h_mean, self.moments.h_var
        if self._expected_kl == "closed_form":
            return expected_log_square(a, t)
        return sampled_log_square(a, t, self._kl_samples, generator)

    def as_gaussian(self) -> DiagonalGaussian:
        return self._marginal

    def detached(self) -> DiagonalGaussian:
        return self._marginal.detached()

    def base(self) -> DiagonalGaussian:
        """Return the base encoder N(b(x), Diag(c(x))^2), shown as dots in Fig. 1."""
        return DiagonalGaussian(self.moments.b, self.moments.c)

    def uncertainty(self) -> Uncertainty:
        """Return V[f_j] = psi_m' Sigma_j psi_m and V[h_j] = psi_s' Gamma_j psi_s for each latent dimension j."""
        return Uncertainty(self.moments.f_var, self.moments.h_var)
