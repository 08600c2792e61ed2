"""A normalising flow as the prior: neural splines (Durkan et al. 2019) of zuko, in closed form in both directions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from zuko.transforms import DependentTransform, MonotonicRQSTransform

from gpvae_core.part import MOST_UNITS
from gpvae_core.priors.base import PRIORS, PriorConfig
from gpvae_core.priors.pushforward import LatentMap, Pushforward

START = 0.01
"""Factor of the initial parameters of the splines, with which the map starts near the identity."""
MIN_SLOPE = 0.01
"""Smallest slope of a spline, and one over the largest. Compositions of steeper ones cannot be inverted in float32."""


def splines(raw: Float[Tensor, "*batch E M"], bins: int) -> DependentTransform:
    """Return one spline for each of E coordinates from M = 3 bins - 1 parameters; the identity outside of [-5, 5]."""
    widths, heights, derivatives = raw.split([bins, bins, bins - 1], dim=-1)
    return DependentTransform(MonotonicRQSTransform(widths, heights, derivatives, slope=MIN_SLOPE), 1)


class SplineStep(nn.Module, ABC):
    """One of the maps whose composition is h."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Return the image of u."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        """Return the preimage u of z, and log |det du/dz|."""


class Elementwise(SplineStep):
    """Map with one spline for each coordinate, independent of the others."""

    def __init__(self, latent_dim: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.raw = nn.Parameter(START * torch.randn(latent_dim, 3 * bins - 1))

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        return splines(self.raw, self.bins)._call(u)

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        return _inverse(splines(self.raw, self.bins), z)


class Coupling(SplineStep):
    """Coupling map: the coordinates in `mask` stay unchanged and determine the splines of the others."""

    def __init__(self, mask: Bool[Tensor, " D"], bins: int, width: int) -> None:
        super().__init__()
        self.bins = bins
        self.unchanged = nn.Buffer(mask.nonzero()[:, 0], persistent=False)
        self.transformed = nn.Buffer((~mask).nonzero()[:, 0], persistent=False)
        self.first, self.second = nn.Linear(len(self.unchanged), width), nn.Linear(width, width)
        self.last = nn.Linear(width, len(self.transformed) * (3 * bins - 1))
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(START)

    def forward(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        return u.index_copy(-1, self.transformed, self._splines(u)._call(u[..., self.transformed]))

    def inverse(self, z: Float[Tensor, "*batch D"]) -> tuple[Float[Tensor, "*batch D"], Float[Tensor, "*batch"]]:
        u, log_det = _inverse(self._splines(z), z[..., self.transformed])
        return z.index_copy(-1, self.transformed, u), log_det

    def _splines(self, z: Float[Tensor, "*batch D"]) -> DependentTransform:
        hidden = torch.relu(self.second(torch.relu(self.first(z[..., self.unchanged]))))
        return splines(self.last(hidden).unflatten(-1, (-1, 3 * self.bins - 1)), self.bins)


def _inverse(spline: DependentTransform, z: Float[Tensor, "*batch E"]) -> tuple[Tensor, Tensor]:
    """Return the preimage u of z, and log |det du/dz|."""
    u = spline._inverse(z)
    # log |det du/dz| = -log |det dz/du|
    return u, -spline.log_abs_det_jacobian(u, z)


class Affine(nn.Module):
    """Affine map z = m + L v with L lower triangular and a positive diagonal, initially the identity."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(latent_dim))
        self.log_diagonal = nn.Parameter(torch.zeros(latent_dim))
        self.below = nn.Parameter(torch.zeros(latent_dim, latent_dim))

    def cholesky(self) -> Float[Tensor, "D D"]:
        """Return L."""
        return self.below.tril(-1) + self.log_diagonal.exp().diag()

    def forward(self, v: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Return m + L v."""
        return self.m + v @ self.cholesky().T

    def inverse(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Return v = L^-1 (z - m)."""
        # L v = z - m, solved for all rows at once
        flat = (z - self.m).reshape(-1, z.shape[-1])
        return torch.linalg.solve_triangular(self.cholesky(), flat.T, upper=False).T.reshape(z.shape)

    @torch.no_grad()
    def set(self, m: Float[Tensor, " D"], chol: Float[Tensor, "D D"]) -> None:
        """Set the map to v -> m + L v, L = `chol`."""
        self.m.copy_(m)
        self.log_diagonal.copy_(chol.diagonal().log())
        self.below.copy_(chol.tril(-1))


class SplineFlow(LatentMap):
    """Map z = affine(T_t(... T_1(u))): splines, then location, scale and correlation; float32 even under autocast."""

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
                u, step_log_det = step.inverse(u)
                log_det = log_det + step_log_det
        return u, log_det


def _steps(latent_dim: int, transforms: int, bins: int, width: int) -> list[SplineStep]:
    """Return couplings between halves of the coordinates, with halves such that any two coordinates are separated once.

    In one dimension the steps are elementwise.
    """
    if latent_dim == 1:
        return [Elementwise(1, bins) for _ in range(transforms)]
    # A pair of couplings halves the coordinates by one binary digit of their index; two indices differ in some digit.
    number, digits = torch.arange(latent_dim), (latent_dim - 1).bit_length()
    halves = [((number >> (t // 2 % digits)) & 1).bool() ^ bool(t % 2) for t in range(transforms)]
    return [Coupling(half, bins, width) for half in halves]


@PRIORS.register("flow")
class FlowPriorConfig(PriorConfig):
    """Neural spline flow: the pushforward of N(0, I) by an invertible network (Durkan et al. 2019)."""

    kind: ClassVar[str] = "flow"
    transforms: int = Field(default=6, ge=1, le=64, description="number of maps composed in a flow prior")
    bins: int = Field(default=8, ge=2, le=256, description="number of bins of each spline of a flow prior")
    flow_hidden: int = Field(
        default=64, ge=1, le=MOST_UNITS, description="units of the two hidden layers of a flow prior's networks"
    )

    def wrap(self, decoder: nn.Module, latent_dim: int) -> Pushforward:
        return Pushforward(SplineFlow(latent_dim, self.transforms, self.bins, self.flow_hidden), decoder)
