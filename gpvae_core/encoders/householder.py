"""Householder flow (Tomczak & Welling 2016; Kim & Pavlovic 2021, sec. 5): a rotated diagonal Gaussian.

z_0 ~ N(b(x), Diag(c(x))^2), z_t = (I - 2 v_t v_t' / |v_t|^2) z_{t-1}, v_1 from the encoder network, v_t a linear layer
of v_{t-1}. The reflections have |det| = 1 and are linear, so q(z|x) is the Gaussian N(Q b, Q Diag(c)^2 Q') with
Q = H_T ... H_1: everything about it is in closed form.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
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
from gpvae_core.encoders.full_gaussian import CorrelatedGaussian
from gpvae_core.encoders.gaussian import BaseFunctions, DiagonalGaussian, GaussianEncoder
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

START = 0.01
"""Factor on the start of the layers of v: at first all v point the same way and the reflections undo each other."""


def reflect(z: Float[Tensor, "K B D"], v: Float[Tensor, "B D"]) -> Float[Tensor, "K B D"]:
    """(I - 2 v v') z for unit vectors v; its own inverse."""
    return z - 2.0 * (z * v).sum(-1, keepdim=True) * v


class RotatedGaussian(CorrelatedGaussian):
    """N(Q m, Q Diag(s)^2 Q') with Q = H_T ... H_1, H_t the reflection along the unit vector v[t-1]."""

    def __init__(self, start: DiagonalGaussian, v: Float[Tensor, "T B D"]) -> None:
        self.start, self.v = start, v

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        z, log_q = self.start.rsample_and_log_prob(k, generator)
        return self._rotate(z), log_q

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        for v in self.v.flip(0):
            z = reflect(z, v)
        return self.start.log_prob(z)

    def _rotate(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        for v in self.v:
            z = reflect(z, v)
        return z

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self._rotate(self.start.m.unsqueeze(0)).squeeze(0)

    @cached_property
    def factor(self) -> Float[Tensor, "B D D"]:
        """A = Q Diag(s), a square root of the covariance A A'."""
        columns = torch.diag_embed(self.start.s).movedim(-1, 0)
        return self._rotate(columns).movedim(0, -1)

    def lower_factor(self) -> Float[Tensor, "B D D"]:
        """R' for A' = (orthogonal) R, with the signs that make its diagonal positive."""
        with torch.autocast(self.start.s.device.type, enabled=False):
            r = torch.linalg.qr(self.factor.mT).R
        return (r * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-1)).mT

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.factor.square().sum(-1)

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """That of the Gaussian before the rotation: N(0, I) is the same in every frame. Closed form."""
        return self.start.kl()

    def detached(self) -> RotatedGaussian:
        return RotatedGaussian(self.start.detached(), self.v.detach())

    def base(self) -> Posterior:
        """Itself: the Gaussian before the rotation lies in another frame."""
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None


class HouseholderEncoder(Encoder):
    """x -> b, c and the reflections."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, flows: int) -> None:
        super().__init__()
        self.base = BaseFunctions(net, event_shape, latent_dim)
        self.first = nn.Linear(net.feature_dim, latent_dim)
        self.further = nn.ModuleList(nn.Linear(latent_dim, latent_dim) for _ in range(flows - 1))
        self._start_along_the_first_axis()

    @torch.no_grad()
    def _start_along_the_first_axis(self) -> None:
        """Near v_t = e_1 for all t and x: an even number of reflections is the identity, an odd one turns z_1 round."""
        for parameter in (*self.first.parameters(), *self.further.parameters()):
            parameter.mul_(START)
        self.first.bias[0] += 1.0
        for layer in self.further:
            assert isinstance(layer, nn.Linear)
            layer.weight += torch.eye(len(layer.weight))

    def forward(self, x: Float[Tensor, "B C H W"]) -> RotatedGaussian:
        features = self.base.trunk(x)
        b, c = self.base.from_features(features)
        v = [self.first(features).to(b.dtype)]
        for layer in self.further:
            v.append(layer(v[-1]).to(b.dtype))
        return RotatedGaussian(DiagonalGaussian(b, c), nn.functional.normalize(torch.stack(v), dim=-1))

    def global_kl(self) -> Float[Tensor, ""]:
        return torch.zeros((), device=self.first.weight.device)

    def stages(self) -> tuple[Stage, ...]:
        return ALL_AT_ONCE

    @torch.no_grad()
    def start_from(self, other: Encoder) -> None:
        """Everything from a trained encoder of this family and size, or b and c from a trained VAE.

        Of a VAE, b_1 changes its sign where the reflections at the start turn z_1 round, so that q is the VAE's.
        """
        if isinstance(other, HouseholderEncoder) and len(other.further) == len(self.further):
            self.load_state_dict(other.state_dict())
        elif isinstance(other, GaussianEncoder):
            self.base.load_state_dict(other.base.state_dict())
            if len(self.further) % 2 == 0:
                head = self.base.head
                turn = torch.ones_like(head.bias)
                turn[0] = -1.0
                head.load_state_dict({"weight": turn.unsqueeze(1) * head.weight, "bias": turn * head.bias})
        else:
            raise UserError(
                f"an 'hf' encoder with {len(self.further) + 1} flows can start from a run trained with --method vae, "
                "or with --method hf and as many flows"
            )


@ENCODERS.register("householder")
class HouseholderConfig(EncoderConfig):
    """Householder flow: a diagonal Gaussian rotated by reflections (Tomczak & Welling 2016); hf:8 has 8."""

    kind: ClassVar[str] = "householder"
    method: ClassVar[str] = "hf"
    count: ClassVar[str] = "flows"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    flows: int = Field(default=4, ge=1, le=64, description="reflections that z goes through")

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> HouseholderEncoder:
        return HouseholderEncoder(net, event_shape, latent_dim, self.flows)
