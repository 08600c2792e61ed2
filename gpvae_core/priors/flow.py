"""A flow as the prior: neural splines (Durkan et al. 2019) by zuko, invertible in closed form both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from zuko.transforms import DependentTransform, MonotonicRQSTransform

from gpvae_core.priors.base import PRIORS, PriorConfig
from gpvae_core.priors.pushforward import LatentMap, Pushforward

START = 0.01
"""Factor on the start of what gives the splines: the first map is almost the identity."""
LEAST_SLOPE = 0.01
"""Of a spline, and one over its largest. Steeper ones, one upon the other, cannot be inverted in float32."""


def splines(raw: Float[Tensor, "*batch E M"], bins: int) -> DependentTransform:
    """Return one spline for each of E coordinates, from M = 3 bins - 1 numbers; the identity outside of [-5, 5]."""
    widths, heights, derivatives = raw.split([bins, bins, bins - 1], dim=-1)
    return DependentTransform(MonotonicRQSTransform(widths, heights, derivatives, slope=LEAST_SLOPE), 1)


class SplineStep(nn.Module, ABC):
    """One of the maps that make up h."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]: ...

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        """Return u, and log |det du/dz|."""


class Elementwise(SplineStep):
    """A spline for each coordinate by itself."""

    def __init__(self, latent_dim: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.raw = nn.Parameter(START * torch.randn(latent_dim, 3 * bins - 1))

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        return splines(self.raw, self.bins)._call(u)

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        return _back(splines(self.raw, self.bins), z)


class Coupling(SplineStep):
    """The coordinates in `kept` go through unchanged and give the splines of the others."""

    def __init__(self, kept: Bool[Tensor, " D"], bins: int, width: int) -> None:
        super().__init__()
        self.bins = bins
        self.kept = nn.Buffer(kept.nonzero()[:, 0], persistent=False)
        self.moved = nn.Buffer((~kept).nonzero()[:, 0], persistent=False)
        self.first, self.second = nn.Linear(len(self.kept), width), nn.Linear(width, width)
        self.last = nn.Linear(width, len(self.moved) * (3 * bins - 1))
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(START)

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        return u.index_copy(-1, self.moved, self._splines(u)._call(u[..., self.moved]))

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        moved, log_det = _back(self._splines(z), z[..., self.moved])
        return z.index_copy(-1, self.moved, moved), log_det

    def _splines(self, z: Float[Tensor, "*batch D"]) -> DependentTransform:
        hidden = torch.relu(self.second(torch.relu(self.first(z[..., self.kept]))))
        return splines(self.last(hidden).unflatten(-1, (-1, 3 * self.bins - 1)), self.bins)


def _back(spline: DependentTransform, z: Float[Tensor, "*batch E"]) -> tuple[Tensor, Tensor]:
    u = spline._inverse(z)
    # log |det du/dz| = -log |det dz/du|
    return u, -spline.log_abs_det_jacobian(u, z)


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
        # L v = z - m, solved for all rows at once
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

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        with torch.autocast(u.device.type, enabled=False):
            for step in self.steps:
                u = step(u)
            return self.affine(u)

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        with torch.autocast(z.device.type, enabled=False):
            u = self.affine.inverse(z)
            # log |det dv/dz| = -sum log L_ii
            log_det = -self.affine.log_diagonal.sum().expand(u.shape[:-1])
            for step in reversed(self.steps):
                assert isinstance(step, SplineStep)
                u, change = step.inverse(u)
                log_det = log_det + change
        return u, log_det


def _steps(latent_dim: int, transforms: int, bins: int, width: int) -> list[SplineStep]:
    """Return couplings by halves of the coordinates that change from pair to pair, so that any two are once apart."""
    if latent_dim == 1:
        return [Elementwise(1, bins) for _ in range(transforms)]
    # A pair halves the coordinates by one binary digit of their numbers: two coordinates differ in one digit at least.
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
