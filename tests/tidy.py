"""Reading of exported CSV files, each of which must be one tidy table."""

from __future__ import annotations

import csv
import io
from typing import Any


def tidy(text: str) -> list[dict[str, Any]]:
    """The rows of a CSV text, with numbers and truth values as such and None for an empty cell.

    It must be one table: one header with a name for each column, rows of its length, and one type a column.
    """
    header, *rows = csv.reader(io.StringIO(text))
    assert len(set(header)) == len(header)
    assert all(name and name == name.strip() for name in header)
    assert {len(row) for row in rows} <= {len(header)}, "a row of another length: a second table?"
    columns = [_typed(name, [row[k] for row in rows]) for k, name in enumerate(header)]
    return [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)]


def _typed(name: str, cells: list[str]) -> list[Any]:
    filled = [cell for cell in cells if cell]
    assert "nan" not in filled, f"{name}: what is missing is an empty cell"
    numbers = [cell for cell in filled if _is_number(cell)]
    truths = [cell for cell in filled if cell in ("True", "False")]
    assert len(numbers) in (0, len(filled)), f"{name} holds numbers beside texts: {filled[:3]}"
    assert len(truths) in (0, len(filled)), f"{name} holds truth values beside others"
    kind: Any = float if numbers else (lambda cell: cell == "True") if truths else str
    return [kind(cell) if cell else None for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
