"""Tables of results that are in no table of the paper: other data sets, numbers of dimensions or methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from gpvae_core.sweep.results import Cost, Result, best_restarts
from gpvae_core.tables.build import DECODER_KINDS
from gpvae_core.tables.compare import Cell, count_missing, make_cell, our_marks
from gpvae_core.tables.paper import NATS, PaperColumn, PaperRow, PaperTable, paper_table, table_numbers

OWN = 0
"""Number of the tables that are not in the paper."""
PAPER_NAMES = {row.method: row.name for number in (1, 10) for row in paper_table(number).rows}
"""The paper's names of its methods, by our names."""


CellKey = tuple[str, int, str, str]
"""Data set, d, kind of the decoder's network, and method of a cell."""


@cache
def table_cells(number: int) -> frozenset[CellKey]:
    """Return the cells of a table of scores; empty for a table of times."""
    table = paper_table(number)
    return frozenset(
        (column.dataset, column.latent_dim, DECODER_KINDS[column.decoder], row.method)
        for row in table.rows
        for column, value in zip(table.columns, row.cells, strict=True)
        if value is not None and table.unit == NATS
    )


def cell_key(row: Result) -> CellKey:
    """Return the cell of a result."""
    return row.dataset, row.latent_dim, row.decoder, row.method


def own_key(row: Result) -> str:
    """Return the key of the table of all results of a data set by one score in which this result is."""
    return f"{row.score.prefix}{row.dataset}"


def own_keys(rows: Sequence[Result]) -> dict[str, str]:
    """Return the data set of each table with a result that is in no table of the paper, by the table's key."""
    known = frozenset().union(*(table_cells(number) for number in table_numbers()))
    return {own_key(row): row.dataset for row in sorted(rows, key=own_key) if cell_key(row) not in known}


def own_table(key: str, rows: Sequence[Result]) -> PaperTable:
    """Return an empty table for the results with this key: a column per d and kind of decoder, a row per method."""
    members = [row for row in rows if own_key(row) == key]
    dataset, score = members[0].dataset, members[0].score
    columns = sorted({(row.latent_dim, row.decoder) for row in members})
    order = list(PAPER_NAMES)
    methods = sorted(
        {row.method for row in members}, key=lambda m: (order.index(m) if m in order else len(order), m)
    )  # the paper's methods in its order, then the others by name
    return PaperTable(
        number=OWN,
        title=f"{dataset}: {score.plural}",
        quantity=score.quantity,
        unit=score.unit,
        source="results of a sweep, in no table of the paper",
        runs=max((len({r.split for r in members if r.method == m}) for m in methods), default=1),
        restarts=max((len({r.restart for r in members if r.method == m}) for m in methods), default=1),
        columns=tuple(PaperColumn(dataset, latent_dim, decoder) for latent_dim, decoder in columns),
        rows=tuple(PaperRow(PAPER_NAMES.get(method, method), method, (None,) * len(columns)) for method in methods),
    )


def own_cells(
    table: PaperTable, rows: Sequence[Result], costs: Mapping[str, Cost] | None = None, runs: int | None = None
) -> list[Cell]:
    """Return the cells of such a table, column by column, without those that have no job."""
    cells: list[Cell] = []
    for column in table.columns:
        key = (column.dataset, column.latent_dim, column.decoder)
        in_column = [row for row in rows if (row.dataset, row.latent_dim, row.decoder) == key]
        in_column = [row for row in in_column if row.score == table.score]
        by_method = {row: [result for result in in_column if result.method == row.method] for row in table.rows}
        by_method = {row: results for row, results in by_method.items() if results}
        scores = [[row.test_score for row in best_restarts(results)] for results in by_method.values()]
        marks = our_marks(scores, smaller_is_better=table.score is not None and table.score.smaller_is_better)
        for (row, results), values, test in zip(by_method.items(), scores, marks, strict=True):
            progress = count_missing(results, costs or {}, runs or table.runs, table.restarts)
            cells.append(make_cell(table, column, row, None, (None, None), values, test, progress))
    return cells
