"""The interface of a covariance function (kernel) of GP priors, and the registry of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from gpvae_core.covariances.factor import Factor
from gpvae_core.errors import clipped
from gpvae_core.part import MOST
from gpvae_core.registry import Registry

Roles = tuple[str, ...]
PARAMETERS = "length_scale", "variance"
"""Names of the parameters of kernels, of which each has its own."""
NUMBERS: Roles = ("number", "vector", "category")
"""Roles of the columns of which a kernel takes numbers; those of a category are its learned vector."""


class CovarianceFunction(nn.Module, ABC):
    """k(x, x') on inputs x with F features, of which each kernel takes those of its own column; batches are apart."""

    @abstractmethod
    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        """Return k(x_a, y_c). Where x and y are the same tensor, they are the same instances."""

    @abstractmethod
    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        """Return k(x_a, x_a)."""

    @abstractmethod
    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        """Return V with V V' = k(x, x), as narrow as the kernel and the distinct values of its column allow.

        Raises:
            UserError: the kernel has no such factor, or one that is too wide.
        """

    def parts_of_it(self) -> Sequence[CovarianceFunction]:
        """Return the kernels of which this one is made, from left to right: by default it alone.

        Override where a kernel combines others.
        """
        return (self,)


class CovarianceConfig(BaseModel, ABC):
    """Settings of one kernel, as its arguments in an expression give them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    """Name of the kernel in an expression."""
    roles: ClassVar[Roles] = NUMBERS
    """Roles of the columns that the kernel takes; none for a kernel without a column."""
    learn: bool | str = Field(
        default=True, description="whether the kernel's parameters are learned: true, false, or the only one that is"
    )

    @field_validator("learn", mode="before")
    @classmethod
    def _is_a_truth_value_or_a_parameter(cls, learn: object) -> object:
        own = [name for name in PARAMETERS if name in cls.model_fields]
        if not isinstance(learn, bool) and learn not in own:
            raise ValueError(f"wanted one of true, false, {', '.join(own)}, got {clipped(str(learn))}")
        return learn

    def learns(self, parameter: str) -> bool:
        """Return whether this parameter is learned."""
        return self.learn is True or self.learn == parameter

    @abstractmethod
    def build(self, features: slice, period: float | None) -> CovarianceFunction:
        """Build the kernel on these features.

        Args:
            period: the period of the column, if it has one.

        Raises:
            UserError: the kernel needs something that the column does not have.
        """


class VectorConfig(CovarianceConfig, ABC):
    """Settings of a kernel of numbers: of a category it takes a vector, which is learned (GP-LVM, Lawrence 2004)."""

    dim: int | None = Field(
        default=None, ge=1, le=1024, description="length of the vector of a category (default: 8, as in the paper)"
    )
    variance: float = Field(default=1.0, gt=0, le=MOST, description="factor sigma^2 of the kernel, at the start")


COVARIANCES: Registry[type[CovarianceConfig]] = Registry("kernel", "gpvae_core.covariances")
