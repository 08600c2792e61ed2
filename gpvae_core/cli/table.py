"""Printing tables on standard output."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpvae_core.terminal import printable

UNLIMITED = 100_000
"""Width in characters, in effect unlimited, of tables that are not printed on a terminal."""


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table whose header is the rows' keys; what is None is a hyphen."""
    table = Table()
    for column in rows[0] if rows else ("nothing here",):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[escape(printable("-" if value is None else str(value))) for value in row.values()])
    show(table)


def show(table: Table) -> None:
    """Print a table, wrapped to the terminal's width; in a pipe or file, as wide as the table needs."""
    Console(width=None if sys.stdout.isatty() else UNLIMITED).print(table)
