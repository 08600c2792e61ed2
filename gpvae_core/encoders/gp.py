"""The Gaussian-process (Bayesian random function) encoder of Kim & Pavlovic 2021.

q(z|x,W,U) = N(b(x) + W psi_m(x), Diag(c(x) + U psi_s(x))^2)   (eq. 9), with q(W,U) of eq. 11. Inference uses the
marginalised encoder of eq. 13; training the bound of eq. 15 with the expected KL of eq. 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.encoders.base import (
    ALL_AT_ONCE,
    ENCODERS,
    Encoder,
    EncoderConfig,
    Posterior,
    Samples,
    Stage,
    Uncertainty,
)
from gpvae_core.encoders.gaussian import BaseFunctions, DiagonalGaussian, GaussianEncoder
from gpvae_core.errors import UserError
from gpvae_core.gp.log_square import expected_log_square, sampled_log_square
from gpvae_core.gp.random_weights import RandomWeights, Variances
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

ExpectedKL = Literal["monte_carlo", "closed_form"]
MIN_VARIANCE = 1e-12


@dataclass(frozen=True)
class FunctionMoments:
    """Moments of b + f and c + h under q(W,U) at a batch of images; each (B, D)."""

    b: Float[Tensor, "B D"]
    c: Float[Tensor, "B D"]
    f_mean: Float[Tensor, "B D"]
    f_var: Float[Tensor, "B D"]
    h_mean: Float[Tensor, "B D"]
    h_var: Float[Tensor, "B D"]

    @property
    def m(self) -> Float[Tensor, "B D"]:
        """m_j of eq. 13."""
        return self.b + self.f_mean

    @property
    def v(self) -> Float[Tensor, "B D"]:
        """v_j of eq. 13, as the sum of squares (c + eta' psi)^2 + psi' Sigma psi + psi' Gamma psi."""
        return (self.c + self.h_mean).square() + self.f_var + self.h_var


class GPPosterior(Posterior):
    """The marginalised encoder N(m, Diag(v)) with what it was marginalised from."""

    def __init__(self, moments: FunctionMoments, expected_kl: ExpectedKL, kl_samples: int) -> None:
        self.moments = moments
        self._expected_kl = expected_kl
        self._kl_samples = kl_samples
        self._marginal = DiagonalGaussian(moments.m, moments.v.clamp_min(MIN_VARIANCE).sqrt())

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        return self._marginal.rsample_and_log_prob(k, generator)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self._marginal.log_prob(z)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self._marginal.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self._marginal.variance

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """E_q(W,U)[KL(q(z|x,W,U) || N(0,I))], eq. 16. It is not the KL of the marginalised encoder."""
        a, t = self.moments.c + self.moments.h_mean, self.moments.h_var
        if self._expected_kl == "closed_form":
            log_square = expected_log_square(a, t)
        else:
            log_square = sampled_log_square(a, t, self._kl_samples, generator)
        return 0.5 * (self.moments.v + self.moments.m.square() - 1.0 - log_square).sum(-1)

    def detached(self) -> DiagonalGaussian:
        return self._marginal.detached()

    def base(self) -> DiagonalGaussian:
        """N(b(x), c(x)^2): the dots of Fig. 1."""
        return DiagonalGaussian(self.moments.b, self.moments.c)

    def uncertainty(self) -> Uncertainty:
        """psi_m' Sigma_j psi_m and psi_s' Gamma_j psi_s for each latent dimension j."""
        return Uncertainty(self.moments.f_var, self.moments.h_var)


class GPEncoder(Encoder):
    """x -> the marginalised encoder of eq. 13."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, config: GPEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.base = BaseFunctions(net, event_shape, latent_dim)
        self.psi_m = net.trunk(event_shape)
        self.psi_s = net.trunk(event_shape)
        self.w = RandomWeights(latent_dim, net.feature_dim, config.start_scale)
        self.u = RandomWeights(latent_dim, net.feature_dim, config.start_scale)
        self._variances = Variances(self.w, self.u)

    def moments(self, x: Float[Tensor, "B C H W"]) -> FunctionMoments:
        """Base functions, and mean and variance of f and h at x."""
        b, c = self.base(x)
        psi_m, psi_s = self.psi_m(x).to(self.w.mu.dtype), self.psi_s(x).to(self.u.mu.dtype)
        with torch.autocast(x.device.type, enabled=False):  # the GP algebra stays in float32
            if torch.is_grad_enabled():
                f_var, h_var = self.w.variance(psi_m), self.u.variance(psi_s)
            else:
                f_var, h_var = self._variances(torch.stack([psi_m, psi_s]))
            return FunctionMoments(b, c, self.w.mean(psi_m), f_var, self.u.mean(psi_s), h_var)

    def forward(self, x: Float[Tensor, "B C H W"]) -> GPPosterior:
        return GPPosterior(self.moments(x), self.config.expected_kl, self.config.kl_samples)

    def global_kl(self) -> Float[Tensor, ""]:
        """KL(q(W,U) || N(0,I)), taken over N in eq. 15."""
        return self.w.kl() + self.u.kl()

    def stages(self) -> tuple[Stage, ...]:
        return ALL_AT_ONCE

    def start_from(self, other: Encoder) -> None:
        """b, c from a trained VAE (and its features as the first psi), or everything from a trained GP encoder."""
        if isinstance(other, GPEncoder):
            self.load_state_dict(other.state_dict())
        elif isinstance(other, GaussianEncoder):
            self.base.load_state_dict(other.base.state_dict())
            self.psi_m.load_state_dict(other.base.trunk.state_dict())
            self.psi_s.load_state_dict(other.base.trunk.state_dict())
        else:
            raise UserError("a 'gp' encoder can start from a run trained with --method vae or --method gp")


@ENCODERS.register("gp")
class GPEncoderConfig(EncoderConfig):
    """Gaussian-process encoder of Kim & Pavlovic 2021: random mean and deviation functions, marginalised."""

    kind: ClassVar[str] = "gp"
    method: ClassVar[str] = "gp"
    expected_kl: ExpectedKL = Field(default="monte_carlo", description="how E[log(c + u'psi)^2] of eq. 16 is computed")
    kl_samples: int = Field(default=1, ge=1, description="samples of the Monte Carlo expected KL")
    start_scale: float = Field(default=0.05, gt=0, description="standard deviation of W and U at the start (mean 0)")

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GPEncoder:
        return GPEncoder(net, event_shape, latent_dim, self)
