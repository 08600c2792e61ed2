"""Results that no table of the paper has (digits, other d, other methods), as a table of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

from gpvae_core.sweep.results import Cost, Result, best_restarts
from gpvae_core.tables.build import DECODER_KINDS
from gpvae_core.tables.compare import Cell, cell_of, missing_of, our_marks
from gpvae_core.tables.paper import NATS, Column, PaperRow, PaperTable, paper_table, table_numbers

OWN = 0
"""Number of a table that is not the paper's."""
PAPER_NAMES = {row.method: row.name for number in (1, 10) for row in paper_table(number).rows}
"""The paper's names of its methods."""


Place = tuple[str, int, str, str]
"""Data set, d, kind of the decoder's network, method."""


@cache
def places(number: int) -> frozenset[Place]:
    """Return where a table of scores has cells; none for a table of times."""
    table = paper_table(number)
    return frozenset(
        (column.dataset, column.latent_dim, DECODER_KINDS[column.decoder], row.method)
        for row in table.rows
        for column, value in zip(table.columns, row.cells, strict=True)
        if value is not None and table.unit == NATS
    )


def place_of(row: Result) -> Place:
    """Return which cell a result belongs to."""
    return row.dataset, row.latent_dim, row.decoder, row.method


def own_datasets(rows: Sequence[Result]) -> list[str]:
    """Data sets with a result that no table of the paper has."""
    known = frozenset().union(*(places(number) for number in table_numbers()))
    return sorted({row.dataset for row in rows if place_of(row) not in known})


def own_table(dataset: str, rows: Sequence[Result]) -> PaperTable:
    """Return the frame of all results of a data set: a column for each d and kind of decoder, a row for each method."""
    mine = [row for row in rows if row.dataset == dataset]
    columns = sorted({(row.latent_dim, row.decoder) for row in mine})
    order = list(PAPER_NAMES)
    methods = sorted(
        {row.method for row in mine}, key=lambda m: (order.index(m) if m in order else len(order), m)
    )  # new methods after the paper's
    return PaperTable(
        number=OWN,
        title=f"{dataset}: test log-likelihood scores",
        quantity="test log-likelihood, IWAE",
        unit=NATS,
        source="results of a sweep, in no table of the paper",
        runs=max((len({r.split for r in mine if r.method == m}) for m in methods), default=1),
        restarts=max((len({r.restart for r in mine if r.method == m}) for m in methods), default=1),
        columns=tuple(Column(dataset, latent_dim, decoder) for latent_dim, decoder in columns),
        rows=tuple(PaperRow(PAPER_NAMES.get(method, method), method, (None,) * len(columns)) for method in methods),
    )


def own_cells(
    table: PaperTable, rows: Sequence[Result], costs: Mapping[str, Cost] | None = None, runs: int | None = None
) -> list[Cell]:
    """Return the cells of such a table, column by column; those without any job are left out."""
    cells: list[Cell] = []
    for column in table.columns:
        place = (column.dataset, column.latent_dim, column.decoder)
        here = [row for row in rows if (row.dataset, row.latent_dim, row.decoder) == place]
        ours = {member: [row for row in here if row.method == member.method] for member in table.rows}
        ours = {member: found for member, found in ours.items() if found}
        scores = [[row.test_iwae or math.nan for row in best_restarts(found)] for found in ours.values()]
        for (member, found), values, test in zip(ours.items(), scores, our_marks(scores), strict=True):
            progress = missing_of(found, costs or {}, runs or table.runs, table.restarts)
            cells.append(cell_of(table, column, member, None, (None, None), values, test, progress))
    return cells
