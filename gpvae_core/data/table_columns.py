"""Columns of a table of the user's own: their roles, as the header says or as guessed from the values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpvae_core.data.auxiliary import Column, Role
from gpvae_core.data.classes import shown_classes
from gpvae_core.data.damage import short
from gpvae_core.errors import UserError, unknown
from gpvae_core.parsing import real_number, whole_number

ROLES = ("number", "category", "vector", "image", "split", "skip")
"""What a header can say of a column; image, split and skip are no auxiliary columns."""
OPTIONS = ("period", "unit")
HEADING = re.compile(r"([^:]*)(?::(\w*)(?:\(([^()]*)\))?)?")
"""A column's name, and behind it :role or :role(option=value option=value)."""
WHOLE = re.compile("[+-]?[0-9]{1,18}")
FEW = 20
"""Whole numbers with at most so many distinct values are guessed to be categories."""

Where = Callable[[int], str]
"""Function that returns the place of a row in error messages."""


@dataclass(frozen=True)
class ColumnHeading:
    """What the header says of a column."""

    name: str
    role: str | None
    """None where it is to be guessed."""
    period: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Filled:
    """An auxiliary column and its values."""

    column: Column
    values: np.ndarray
    guessed: bool
    """Whether the role was guessed."""
    doubtful: bool = False
    """Whether the values are few whole numbers that were guessed to be categories."""


def parse_heading(text: str, where: str) -> ColumnHeading:
    """Return what 'angle', 'angle:number' or 'angle:number(period=360 unit=degrees)' says.

    Raises:
        UserError: the role or an option is unknown, or the period is no number.
    """
    match = HEADING.fullmatch(text)
    if match is None:
        raise UserError(f"{where}: wanted a column name, name:role or name:role(option=value), got '{short(text)}'")
    name, role = match[1].strip(), match[2]
    if role is not None and role not in ROLES:
        raise UserError(f"{where}: column '{short(name)}': {unknown('role', role, ROLES)}")
    options: dict[str, str] = {}
    for option in (match[3] or "").split():
        key, _, value = option.partition("=")
        if key not in OPTIONS or role != "number":
            raise UserError(
                f"{where}: column '{short(name)}' has '{short(option)}': wanted period=NUMBER or unit=TEXT of a number"
            )
        options[key] = value
    period = real_number(options["period"]) if "period" in options else None
    if "period" in options and period is None:
        raise UserError(
            f"{where}: column '{short(name)}' has the period '{short(options['period'])}', which is no number"
        )
    return ColumnHeading(name, role, period, options.get("unit", ""))


def parse_headings(texts: Sequence[str], where: str) -> list[ColumnHeading]:
    """Return what the header says of each column. Raises UserError as `parse_heading`, or if two have one name."""
    headings = [parse_heading(text, where) for text in texts]
    names = [heading.name for heading in headings]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: two columns are called '{short(name)}'")
    return headings


def values_of(heading: ColumnHeading, cells: Sequence[str], where: Where) -> np.ndarray:
    """Return the values of a column of texts: int64 or float64 (N,), texts (N,), or float64 (N, size) of a vector.

    Raises:
        UserError: a cell is empty, or is no number where one is wanted.
    """
    if "" in cells:
        raise UserError(f"{where(cells.index(''))}: column '{short(heading.name)}' is empty")
    if heading.role == "category":
        return np.array(cells)
    if heading.role == "vector":
        return _vectors(heading, cells, where)
    numbers = [_finite(cell) for cell in cells]
    wrong = [row for row, number in enumerate(numbers) if number is None]
    if heading.role is None and len(wrong) > len(cells) / 2:
        return np.array(cells)
    if wrong:
        raise UserError(_no_number(heading, cells[wrong[0]], where(wrong[0]), heading.role is None))
    if all(map(WHOLE.fullmatch, cells)):
        return np.array([int(cell) for cell in cells], np.int64)
    return np.array(numbers, np.float64)


def _finite(cell: str) -> float | None:
    number = real_number(cell)
    return None if number is None or not math.isfinite(number) else number


def _vectors(heading: ColumnHeading, cells: Sequence[str], where: Where) -> np.ndarray:
    rows = [[_finite(part) for part in cell.split()] for cell in cells]
    for row, numbers in enumerate(rows):
        if None in numbers:
            raise UserError(_no_number(heading, cells[row], where(row)))
        if len(numbers) != len(rows[0]):
            raise UserError(
                f"{where(row)}: wanted {len(rows[0])} numbers in column '{heading.name}' as in the first row, "
                f"got {len(numbers)}"
            )
    return np.array(rows, np.float64)


def _no_number(heading: ColumnHeading, cell: str, where: str, guessed: bool = False) -> str:
    otherwise = f"; if it is a category, write '{heading.name}:category' in the header" if guessed else ""
    return f"{where}: '{short(cell)}' in column '{short(heading.name)}' is not a number{otherwise}"


def fill(heading: ColumnHeading, values: np.ndarray, where: Where, header: str) -> Filled:
    """Return the auxiliary column of these values; without a role of the heading, that of `guess`.

    Args:
        header: the place of the heading in error messages.

    Raises:
        UserError: the values do not suit the role, are not finite, or the name is not plain.
    """
    role = heading.role or guess(values)
    kinds, dimensions = {"number": ("biuf", 1), "category": ("biuU", 1), "vector": ("biuf", 2)}[role]
    if values.dtype.kind not in kinds or values.ndim != dimensions or 0 in values.shape:
        raise UserError(f"column '{short(heading.name)}': got {values.dtype} {values.shape}, which is no {role}")
    guessed = heading.role is None
    if role == "category":
        read, codes = np.unique(values, return_inverse=True)
        shown = shown_classes([str(value) for value in read])
        column = _column(header, heading.name, "category", names=shown.names)
        # Whole numbers may be times, and so may texts that begin with digits, such as dates.
        doubtful = values.dtype.kind in "iu" or all(whole_number(name[:1]) is not None for name in shown.names)
        return Filled(column, shown.index[codes], guessed, guessed and doubtful)
    numbers = values.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(numbers).reshape(len(numbers), -1).all(1))
    if len(wrong):
        raise UserError(f"{where(int(wrong[0]))}: column '{short(heading.name)}' is not a finite number")
    if role == "vector":
        return Filled(_column(header, heading.name, "vector", size=numbers.shape[1]), numbers, guessed)
    number = _column(header, heading.name, "number", period=heading.period, unit=heading.unit)
    return Filled(number, numbers, guessed)


def _column(header: str, name: str, role: Role, **more: Any) -> Column:
    """Return an auxiliary column. Raises UserError, with the place of its heading, if that is none of a column."""
    try:
        return Column(name, role, **more)
    except UserError as error:
        raise UserError(f"{header}: {error}") from None


def guess(values: np.ndarray) -> str:
    """Return the role of values: vectors, numbers with a fraction or many values, or else categories."""
    if values.ndim > 1:
        return "vector"
    few = values.dtype.kind == "b" or (values.dtype.kind in "iu" and len(np.unique(values)) <= FEW)
    return "category" if few or values.dtype.kind == "U" else "number"
