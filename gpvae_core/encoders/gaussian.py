"""The plain amortized encoder q(z|x) = N(b(x), Diag(c(x))^2) (Kim & Pavlovic 2021, eq. 3 with f, h deterministic)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

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
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape


class DiagonalGaussian(Posterior):
    """N(m, Diag(s)^2)."""

    def __init__(self, m: Float[Tensor, "B D"], s: Float[Tensor, "B D"]) -> None:
        self.m, self.s = m, s

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        eps = torch.randn((k, *self.m.shape), generator=generator, device=self.m.device, dtype=self.m.dtype)
        return self.m + self.s * eps, self._log_prob_of(eps)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self._log_prob_of((z - self.m) / self.s)

    def _log_prob_of(self, eps: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return (-0.5 * eps.square() - self.s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.m

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.s.square()

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """KL(q || N(0, I)) in closed form; needs no randomness."""
        return 0.5 * (self.s.square() + self.m.square() - 1.0 - 2.0 * self.s.log()).sum(-1)

    def detached(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.m.detach(), self.s.detach())

    def base(self) -> Posterior:
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None


def is_diagonal_gaussian(q: Posterior, generator: torch.Generator | None = None) -> bool:
    """Whether log q(z|x) is that of a Gaussian with q's mean and variances, at samples of q."""
    z, log_q = q.rsample_and_log_prob(8, generator)
    return bool(torch.allclose(log_q, DiagonalGaussian(q.mean, q.variance.sqrt()).log_prob(z), atol=0.01, rtol=1e-4))


class BaseFunctions(nn.Module):
    """b(x) and c(x): a trunk and one linear layer; c is kept positive by softplus."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        super().__init__()
        self.trunk = net.trunk(event_shape)
        self.head = nn.Linear(net.feature_dim, 2 * latent_dim)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        return self.from_features(self.trunk(x))

    def from_features(self, features: Float[Tensor, "B P"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        b, raw = self.head(features).to(self.head.weight.dtype).chunk(2, dim=-1)
        return b, nn.functional.softplus(raw) + 1e-6


class GaussianEncoder(Encoder):
    """x -> N(b(x), Diag(c(x))^2)."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        super().__init__()
        self.base = BaseFunctions(net, event_shape, latent_dim)

    def forward(self, x: Float[Tensor, "B C H W"]) -> DiagonalGaussian:
        return DiagonalGaussian(*self.base(x))

    def global_kl(self) -> Float[Tensor, ""]:
        return torch.zeros((), device=self.base.head.weight.device)

    def stages(self) -> tuple[Stage, ...]:
        return ALL_AT_ONCE

    def start_from(self, other: Encoder) -> None:
        if not isinstance(other, GaussianEncoder):
            raise UserError("a 'gaussian' encoder can start only from a run trained with --method vae")
        self.base.load_state_dict(other.base.state_dict())


@ENCODERS.register("gaussian")
class GaussianEncoderConfig(EncoderConfig):
    """Plain amortized Gaussian with diagonal covariance: q(z|x) = N(b(x), c(x)^2)."""

    kind: ClassVar[str] = "gaussian"
    method: ClassVar[str] = "vae"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GaussianEncoder:
        return GaussianEncoder(net, event_shape, latent_dim)
