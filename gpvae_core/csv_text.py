"""Formatting of tables as CSV text, and the cells of such a text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as CSV. None and NaN become an empty cell; floats keep the digits that restore them exactly."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(_plain, rows))
    return out.getvalue()


def csv_cells(text: str) -> list[list[str]]:
    """Return the cells of each line of a CSV text, without spaces around them; an empty line has none.

    Raises:
        ValueError: a cell is longer than the csv module takes.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        return [[cell.strip() for cell in line] for line in lines]
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _plain(row: Iterable[object]) -> list[object]:
    """Return the values of a row as Python scalars, None for NaN."""
    values = [value.item() if isinstance(value, np.generic) else value for value in row]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]
