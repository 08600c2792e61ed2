"""Rows as a table on standard output."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows as a table, their keys as its head."""
    table = Table()
    for column in rows[0] if rows else ("nothing here",):
        table.add_column(column)
    for row in rows:
        table.add_row(*[escape(str(value)) for value in row.values()])
    Console().print(table)
