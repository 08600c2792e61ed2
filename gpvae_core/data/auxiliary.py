"""Auxiliary columns: what is known of each image beside its pixels, such as its time, its angle or its object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.damage import counted
from gpvae_core.errors import UserError, clipped, unknown

Role: TypeAlias = Literal["number", "category", "vector"]
PLAIN_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Names that can stand in a kernel's expression, such as angle in periodic(angle) * linear(object)."""


@dataclass(frozen=True)
class Column:
    """A column of auxiliary data: a number, a category, or a vector of a fixed number of numbers.

    >>> import gpvae_core as gpvae
    >>> gpvae.Column("angle", "number", period=360.0, unit="degrees").period
    360.0
    """

    name: str
    """A plain name, so that it can stand in a kernel's expression."""
    role: Role
    period: float | None = None
    """Difference of two numbers that mean the same, such as 2 pi of angles in radians; None if there is none."""
    unit: str = ""
    names: tuple[str, ...] = ()
    """Name of each category, by its code."""
    size: int = 1
    """Number of numbers in a vector."""

    def __post_init__(self) -> None:
        if not PLAIN_NAME.fullmatch(self.name):
            raise UserError(
                f"column '{clipped(self.name)}' has no plain name: wanted letters, digits and _, and no digit first"
            )
        if self.period is not None and (self.role != "number" or not 0.0 < self.period < np.inf):
            raise UserError(f"column '{self.name}': wanted a period above 0 of numbers, got {self.period:g}")
        if self.role == "category" and not 0 < len(self.names) == len(set(self.names)):
            raise UserError(f"column '{self.name}': wanted one name for each category, no two alike")


@dataclass(frozen=True)
class Auxiliary:
    """The auxiliary columns of N images, in the images' order: the X of Jazbec et al. 2021, section 3.1.

    >>> import numpy as np
    >>> import gpvae_core as gpvae
    >>> time = gpvae.Column("time", "number", unit="s")
    >>> auxiliary = gpvae.Auxiliary((time,), {"time": np.array([0.0, 0.4, 1.5])})
    >>> len(auxiliary), float(auxiliary["time"].max()), auxiliary.column("time").unit
    (3, 1.5, 's')
    """

    columns: tuple[Column, ...]
    values: Mapping[str, np.ndarray]
    """By name: of a number float64 (N,), of a category int64 (N,), its code, and of a vector float64 (N, size)."""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names) or set(names) != set(self.values):
            raise UserError(
                f"wanted values of each of {counted(names, 'column')}, no two alike, got {list(self.values)}"
            )
        for column in self.columns:
            _check(column, self.values[column.name], len(self))

    def __len__(self) -> int:
        return len(self.values[self.columns[0].name])

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the values of a column. Raises UserError, with the nearest name, if there is none."""
        return self.values[self.column(name).name]

    def column(self, name: str) -> Column:
        """Return the column called `name`. Raises UserError, with the nearest name, if there is none."""
        by_name = {column.name: column for column in self.columns}
        if name not in by_name:
            raise unknown("column", name, by_name)
        return by_name[name]

    def take(self, indices: NDArray[np.int64]) -> Auxiliary:
        """Return the columns of the images at these indices."""
        return Auxiliary(self.columns, {name: values[indices] for name, values in self.values.items()})


def first_number(columns: Iterable[Column]) -> Column | None:
    """Return the first column that is a number, along which images are looked at; None if there is none."""
    return next((column for column in columns if column.role == "number"), None)


def _check(column: Column, values: np.ndarray, count: int) -> None:
    """Raise UserError if values have another shape or type than their role, are not finite, or are no codes."""
    shape = (count, column.size) if column.role == "vector" else (count,)
    kind = np.int64 if column.role == "category" else np.float64
    if values.shape != shape or values.dtype != kind:
        raise UserError(
            f"column '{column.name}': wanted {np.dtype(kind)} of shape {shape} for a {column.role}, "
            f"got {values.dtype} {values.shape}"
        )
    if not np.isfinite(values).all():
        raise UserError(f"column '{column.name}': wanted finite numbers, got NaN or infinity")
    if column.role == "category" and count and not 0 <= values.min() <= values.max() < len(column.names):
        raise UserError(
            f"column '{column.name}': wanted codes from 0 to {len(column.names) - 1}, got {values.min()} to "
            f"{values.max()}"
        )
