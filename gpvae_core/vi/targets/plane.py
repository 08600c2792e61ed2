"""Densities on a plane that are chosen for their shape, without data."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.errors import clipped
from gpvae_core.part import parse_model
from gpvae_core.vi.targets.base import TARGETS, TargetConfig, VITarget

REFERENCE_STD = 3.0
"""Standard deviation of the Gaussian that stands for a prior: densities on the plane are to lie within 4 of it."""
MOST_COMPONENTS = 12


class PlaneTarget(VITarget):
    """Density f(z) on a plane, written as a prior times one data point's likelihood f(z) / p(z)."""

    def __init__(self, log_f: Callable[[Tensor], Tensor]) -> None:
        super().__init__(2, 1, REFERENCE_STD)
        self._log_f = log_f

    def terms(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch 1"]:
        return (self._log_f(z) - self.log_prior(z)).unsqueeze(-1)


class PlaneConfig(TargetConfig):
    """Settings of a density on the plane."""

    method: ClassVar[str] = ""

    @abstractmethod
    def log_f(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Return the log density in nats."""

    def build(self) -> PlaneTarget:
        return PlaneTarget(self.log_f)


def _log_normal(z: Tensor, m: float | Tensor, s: float | Tensor) -> Tensor:
    """Return log N(z; m, s^2) of each coordinate."""
    s = torch.as_tensor(s, dtype=z.dtype)
    return -0.5 * ((z - m) / s).square() - s.log() - 0.5 * math.log(2 * math.pi)


@TARGETS.register("correlated")
class CorrelatedConfig(PlaneConfig):
    """Gaussian with correlated coordinates, which a mean-field family narrows."""

    kind: ClassVar[str] = "correlated"
    correlation: float = Field(default=0.9, gt=-1, lt=1, description="correlation of the two coordinates")

    def log_f(self, z: Tensor) -> Tensor:
        rest = math.sqrt(1.0 - self.correlation**2)
        return _log_normal(z[..., 0], 0.0, 1.0) + _log_normal(z[..., 1], self.correlation * z[..., 0], rest)


@TARGETS.register("banana")
class BananaConfig(PlaneConfig):
    """Gaussian bent along a parabola, whose best Gaussian is biased and too narrow."""

    kind: ClassVar[str] = "banana"
    bend: float = Field(default=0.5, ge=0, le=2, description="curvature of the parabola")

    def log_f(self, z: Tensor) -> Tensor:
        centre = self.bend * (z[..., 0].square() - 1.0)
        return _log_normal(z[..., 0], 0.0, 1.2) + _log_normal(z[..., 1], centre, 0.5)


@TARGETS.register("ring")
class RingConfig(PlaneConfig):
    """Ring around the origin, of which no Gaussian has the shape."""

    kind: ClassVar[str] = "ring"
    radius: float = Field(default=2.0, ge=0.5, le=6, description="radius of the ring")
    width: float = Field(default=0.3, ge=0.1, le=2, description="standard deviation across the ring")

    def log_f(self, z: Tensor) -> Tensor:
        # NOTE: the square root has no derivative at the origin; the density there is tiny.
        return _log_normal((z.square().sum(-1) + 1e-12).sqrt(), self.radius, self.width)


class Bump(BaseModel):
    """One Gaussian of a mixture on the plane."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    x: float = Field(ge=-8, le=8, allow_inf_nan=False, description="first coordinate of the mean")
    y: float = Field(ge=-8, le=8, allow_inf_nan=False, description="second coordinate of the mean")
    sd: float = Field(ge=0.1, le=4, allow_inf_nan=False, description="standard deviation")
    weight: float = Field(gt=0, le=1e3, description="weight, relative to the others")

    @property
    def text(self) -> str:
        """The form in which a setting names it, x:y:sd:weight."""
        return ":".join(f"{value:g}" for value in (self.x, self.y, self.sd, self.weight))


def bumps(text: str) -> tuple[Bump, ...]:
    """Return the Gaussians of 'x:y:sd:weight x:y:sd:weight ...'.

    Raises:
        ValueError: the text has another form, or a number is out of range.
    """
    names, parts = tuple(Bump.model_fields), text.split()
    if not 1 <= len(parts) <= MOST_COMPONENTS or any(part.count(":") != len(names) - 1 for part in parts):
        raise ValueError(
            f"wanted 1 to {MOST_COMPONENTS} components x:y:sd:weight with spaces between them, got '{clipped(text)}'"
        )
    return tuple(parse_model(Bump, dict(zip(names, part.split(":"), strict=True))) for part in parts)


@TARGETS.register("mixture")
class MixtureTargetConfig(PlaneConfig):
    """Mixture of Gaussians on the plane: two modes by default, or any others."""

    kind: ClassVar[str] = "mixture"
    components: str = Field(
        default="-1.5:-0.5:0.7:0.6 1.8:1:0.5:0.4",
        description="components x:y:sd:weight (mean, standard deviation, relative weight), with spaces between them",
    )

    @field_validator("components")
    @classmethod
    def _are_bumps(cls, text: str) -> str:
        return " ".join(bump.text for bump in bumps(text))

    def log_f(self, z: Tensor) -> Tensor:
        parts = torch.tensor([[b.x, b.y, b.sd, b.weight] for b in bumps(self.components)], dtype=torch.float64).to(z)
        log_w = (parts[:, 3] / parts[:, 3].sum()).log()
        mixture = GaussianMixture(log_w[None], parts[None, :, :2], parts[None, :, 2:3].expand(-1, -1, 2))
        return mixture.log_prob(z.reshape(-1, 1, 2)).reshape(z.shape[:-1])
