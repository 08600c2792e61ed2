"""Rows as a table on standard output."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

UNCUT = 100_000
"""Characters of a line where no terminal's edge has to be kept to."""


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows as a table, their keys as its head."""
    table = Table()
    for column in rows[0] if rows else ("nothing here",):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[escape(str(value)) for value in row.values()])
    show(table)


def show(table: Table) -> None:
    """Print on a terminal as wide as that is; in a pipe or file, which has no edge, as wide as the table needs."""
    Console(width=None if sys.stdout.isatty() else UNCUT).print(table)
