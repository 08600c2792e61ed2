"""A flow as the prior: neural splines (Durkan et al. 2019) by zuko, invertible in closed form both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from zuko.transforms import CouplingTransform, DependentTransform, MonotonicRQSTransform

from gpvae_core.priors.base import PRIORS, PriorConfig
from gpvae_core.priors.pushforward import LatentMap, Pushforward

Bijection: TypeAlias = CouplingTransform | DependentTransform
START = 0.01
"""Factor on the start of what gives the splines: the first map is almost the identity."""
LEAST_SLOPE = 0.01
"""Of a spline, and one over its largest. Steeper ones, one upon the other, cannot be inverted in float32."""


def splines(raw: Float[Tensor, "*batch E M"], bins: int) -> DependentTransform:
    """One spline for each of E coordinates, from M = 3 bins - 1 numbers; the identity outside of [-5, 5]."""
    widths, heights, derivatives = raw.split([bins, bins, bins - 1], dim=-1)
    return DependentTransform(MonotonicRQSTransform(widths, heights, derivatives, slope=LEAST_SLOPE), 1)


class SplineStep(nn.Module, ABC):
    """One of the maps that make up h."""

    @abstractmethod
    def transform(self) -> Bijection:
        """As it is now."""


class Elementwise(SplineStep):
    """A spline for each coordinate by itself."""

    def __init__(self, latent_dim: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.raw = nn.Parameter(START * torch.randn(latent_dim, 3 * bins - 1))

    def transform(self) -> Bijection:
        return splines(self.raw, self.bins)


class Coupling(SplineStep):
    """The coordinates in `kept` go through unchanged and give the splines of the others."""

    def __init__(self, kept: Bool[Tensor, " D"], bins: int, width: int) -> None:
        super().__init__()
        self.bins = bins
        self.kept = nn.Buffer(kept, persistent=False)
        given, moved = int(kept.sum()), int((~kept).sum())
        self.first, self.second = nn.Linear(given, width), nn.Linear(width, width)
        self.last = nn.Linear(width, moved * (3 * bins - 1))
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(START)

    def transform(self) -> Bijection:
        return CouplingTransform(self._of_the_others, self.kept)  # pyright: ignore[reportArgumentType]

    def _of_the_others(self, kept: Float[Tensor, "*batch A"]) -> DependentTransform:
        hidden = torch.relu(self.second(torch.relu(self.first(kept))))
        return splines(self.last(hidden).unflatten(-1, (-1, 3 * self.bins - 1)), self.bins)


class Affine(nn.Module):
    """z = m + L v with L lower triangular, positive on its diagonal; the identity at the start."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(latent_dim))
        self.log_diagonal = nn.Parameter(torch.zeros(latent_dim))
        self.below = nn.Parameter(torch.zeros(latent_dim, latent_dim))

    def cholesky(self) -> Float[Tensor, "D D"]:
        return self.below.tril(-1) + self.log_diagonal.exp().diag()

    def forward(self, v: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        return self.m + v @ self.cholesky().T

    def inverse(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        flat = (z - self.m).reshape(-1, z.shape[-1])
        return torch.linalg.solve_triangular(self.cholesky(), flat.T, upper=False).T.reshape(z.shape)

    @torch.no_grad()
    def set(self, m: Float[Tensor, " D"], chol: Float[Tensor, "D D"]) -> None:
        """Make it this map."""
        self.m.copy_(m)
        self.log_diagonal.copy_(chol.diagonal().log())
        self.below.copy_(chol.tril(-1))


class SplineFlow(LatentMap):
    """z = affine(T_t(... T_1(u))): splines, then location, scale and correlation. Its algebra stays in float32."""

    def __init__(self, latent_dim: int, transforms: int, bins: int, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(_steps(latent_dim, transforms, bins, width))
        self.affine = Affine(latent_dim)

    def start_at(self, m: Float[Tensor, " D"], chol: Float[Tensor, "D D"]) -> None:
        self.affine.set(m, chol)

    def _transforms(self) -> list[Bijection]:
        return [step.transform() for step in self.steps if isinstance(step, SplineStep)]

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        with torch.autocast(u.device.type, enabled=False):
            for one in self._transforms():
                u = one._call(u)
            return self.affine(u)

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        with torch.autocast(z.device.type, enabled=False):
            u = self.affine.inverse(z)
            log_det = -self.affine.log_diagonal.sum().expand(u.shape[:-1])
            for one in reversed(self._transforms()):
                after, u = u, one._inverse(u)
                log_det = log_det - one.log_abs_det_jacobian(u, after)
        return u, log_det


def _steps(latent_dim: int, transforms: int, bins: int, width: int) -> list[SplineStep]:
    """Couplings by halves of the coordinates that change from pair to pair, so that any two are once apart."""
    if latent_dim == 1:
        return [Elementwise(1, bins) for _ in range(transforms)]
    number, digits = torch.arange(latent_dim), (latent_dim - 1).bit_length()
    halves = [((number >> (t // 2 % digits)) & 1).bool() ^ bool(t % 2) for t in range(transforms)]
    return [Coupling(half, bins, width) for half in halves]


@PRIORS.register("flow")
class FlowPriorConfig(PriorConfig):
    """Neural spline flow, N(0, I) carried through an invertible network (Durkan et al. 2019)."""

    kind: ClassVar[str] = "flow"
    transforms: int = Field(default=6, ge=1, le=64, description="maps one after the other in a flow prior")
    bins: int = Field(default=8, ge=2, le=256, description="pieces of each spline of a flow prior")
    flow_hidden: int = Field(default=64, ge=1, description="units of the two hidden layers of a flow prior's networks")

    def wrap(self, decoder: nn.Module, latent_dim: int) -> Pushforward:
        return Pushforward(SplineFlow(latent_dim, self.transforms, self.bins, self.flow_hidden), decoder)
