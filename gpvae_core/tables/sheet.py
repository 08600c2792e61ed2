"""The content of the results page, as plain data, from a results file and the user's selection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpvae_core.errors import UserError
from gpvae_core.sweep.results import Cost, Result, Setup, open_results
from gpvae_core.sweep.scores import LOG_LIKELIHOOD
from gpvae_core.tables.build import table_setups
from gpvae_core.tables.command import is_table_setup, sweep_command, table_command, without_decoder
from gpvae_core.tables.compare import Cell, compare
from gpvae_core.tables.own import OWN, cell_key, own_cells, own_key, own_keys, own_table, table_cells
from gpvae_core.tables.paper import PaperTable, paper_table, table_numbers
from gpvae_core.tables.times import BENCH_COLUMNS, Times

TABLES = {str(number): paper_table(number) for number in table_numbers()}
TIME_TABLES = frozenset(key for key, table in TABLES.items() if table.score is None)
BENCH_COMMAND = "gpvae bench inference --json > sweeps/inference.json"


@dataclass(frozen=True)
class SheetChoice:
    """The user's selection; '', 0, () and None stand for defaults."""

    path: Path | None = None
    table: str = ""
    setup: str = ""
    dims: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    runs: int = 0


@dataclass(frozen=True)
class StoredResults:
    """The content of a results file; empty if there is no file."""

    setups: tuple[Setup, ...] = ()
    """The setups, the latest first."""
    rows: tuple[Result, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    times: Times | None = None
    """Times of a stored bench, if there is one."""


def read(path: Path | None) -> StoredResults:
    """Return the content of a results file.

    Raises:
        UserError: the file is missing or damaged, or was written by a newer version.
    """
    if path is None:
        return StoredResults()
    results = open_results(path)
    return StoredResults(tuple(results.setups()), tuple(results.rows()), results.costs())


@dataclass(frozen=True)
class Sheet:
    """One table with the results of a setup."""

    table: PaperTable
    key: str
    setup: Setup | None
    setups: tuple[Setup, ...]
    """The setups with results for this table."""
    rows: tuple[Result, ...]
    """The jobs that belong to the table."""
    every_cell: tuple[Cell, ...]
    cells: tuple[Cell, ...]
    """The selected cells; marks and p-values refer to the whole table."""
    runs: int
    restarts: int
    path: Path | None
    times: Times | None

    @property
    def own(self) -> bool:
        """Whether the table is not in the paper."""
        return self.table.number == OWN

    @property
    def of_scores(self) -> bool:
        """Whether the table is of scores, and not of times."""
        return self.table.score is not None

    @property
    def dims(self) -> tuple[int, ...]:
        """The numbers of latent dimensions of the table."""
        return tuple(sorted({cell.latent_dim for cell in self.every_cell}))

    @property
    def methods(self) -> tuple[tuple[str, str], ...]:
        """(method, name) of the methods in the table's order."""
        present = {cell.method for cell in self.every_cell}
        return tuple((row.method, row.name) for row in self.table.rows if row.method in present)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The numbers of epochs of the trainings."""
        return tuple(sorted({row.epochs_wanted for row in self.rows}))

    def count(self, status: str) -> int:
        """Return the number of jobs with this status."""
        return sum(row.status == status for row in self.rows)

    def command(self, cells: Sequence[Cell]) -> str:
        """Return the command that computes the missing runs of these cells; '' if nothing is missing."""
        if not self.of_scores:
            return BENCH_COMMAND
        lacking = [cell for cell in cells if cell.missing]
        if not lacking:
            return ""
        out = None if self.path is None else self.path.parent
        content = None if self.setup is None else self.setup.content
        if self.setup is not None and out is not None and (self.own or not is_table_setup(self.setup.content)):
            return sweep_command(self.setup.name, out)
        dims = sorted({cell.latent_dim for cell in lacking})
        methods = list(dict.fromkeys(cell.method for cell in lacking))
        dims_option = dims if dims != list(self.dims) else []
        methods_option = methods if methods != [method for method, _ in self.methods] else []
        return table_command(self.table, dims_option, methods_option, content, self.runs, self.restarts, out)


def table_options(stored: StoredResults) -> dict[str, str]:
    """Return the label of each available table, by key."""
    out = {key: f"Table {key} · {table.title.partition(':')[0]}" for key, table in TABLES.items()}
    out |= {"5": "Table 5 · Inference times", "10": "Table 10 · FC and conv decoders"}
    out |= {"11": "Table 11 · Times by decoder"}
    return _own_options(stored.rows) | out


def _own_options(rows: Sequence[Result]) -> dict[str, str]:
    """Return the label of each table that is not in the paper, with its score where it is another than the paper's."""
    by_key = {own_key(row): row.score for row in rows}
    return {
        key: f"{name} · all in this file" + ("" if by_key[key] == LOG_LIKELIHOOD else f", {by_key[key].name}")
        for key, name in own_keys(rows).items()
    }


def default_table(stored: StoredResults) -> str:
    """Return the paper's table with the most results, then jobs; another table if only such a table has any."""
    own = list(own_keys(stored.rows))
    jobs = {key: _counts(_members(key, stored.rows)) for key in (*TABLES, *own)}
    papers, ours = (max(keys, key=lambda key: jobs[key], default="") for keys in (TABLES, own))
    (done, planned), (own_done, _) = jobs[papers], jobs.get(ours, (0, 0))
    return ours if ours and (not planned or (own_done and not done)) else papers


def _counts(rows: Sequence[Result]) -> tuple[int, int]:
    """Return the numbers of results and of jobs."""
    return sum(row.status == "done" for row in rows), len(rows)


def _members(key: str, rows: Sequence[Result]) -> list[Result]:
    if key not in TABLES:
        return [row for row in rows if own_key(row) == key]
    cells = table_cells(int(key))
    return [row for row in rows if cell_key(row) in cells]


def make_sheet(stored: StoredResults, choice: SheetChoice) -> Sheet:
    """Return the sheet of a selection.

    Raises:
        UserError: the table does not exist.
    """
    key = choice.table or default_table(stored)
    options = table_options(stored)
    if key not in options:
        raise UserError(f"wanted one of the tables {', '.join(options)}, got '{key}'")
    members = _members(key, stored.rows)
    setups = tuple(setup for setup in stored.setups if any(row.setup == setup.setup for row in members))
    setup = _chosen_setup(choice.setup, setups, members)
    table = TABLES[key] if key in TABLES else own_table(key, members)
    rows = [] if setup is None else _rows_of(table, setup, members)
    restarts = len({row.restart for row in rows}) or table.restarts
    runs = choice.runs or table.runs
    if table.number == OWN:
        cells = own_cells(table, rows, stored.costs, runs)
    else:
        cells = compare(table, rows, stored.costs, runs, restarts)
    if table.score is None:
        cells = [_timed(cell, stored.times) for cell in cells]
    chosen = [c for c in cells if _is_in(c.latent_dim, choice.dims) and _is_in(c.method, choice.methods)]
    return Sheet(
        table, key, setup, setups, tuple(rows), tuple(cells), tuple(chosen or cells), runs, restarts, choice.path,
        stored.times,
    )  # fmt: skip


def _timed(cell: Cell, times: Times | None) -> Cell:
    """Return a cell of a table of times with the bench's measurement; no runs are missing, as no sweep fills it."""
    measured = times is not None and (cell.dataset, cell.latent_dim, cell.decoder) in BENCH_COLUMNS
    return replace(cell, mean=times.milliseconds.get(cell.method) if measured and times else None, wanted=0, missing=0)


def _is_in(value: object, chosen: tuple[object, ...]) -> bool:
    return not chosen or value in chosen


def _chosen_setup(key: str, setups: Sequence[Setup], rows: Sequence[Result]) -> Setup | None:
    """Return the setup `key` if it has jobs for this table, else the one with most results, the latest of equals."""
    done = Counter(row.setup for row in rows if row.status == "done")
    fullest = max(setups, key=lambda setup: done[setup.setup], default=None)
    return next((setup for setup in setups if setup.setup == key), fullest)


def _rows_of(table: PaperTable, setup: Setup, rows: Sequence[Result]) -> list[Result]:
    """Return the rows of the setup; a table with several kinds of decoder includes one setup for each kind."""
    base = {**setup.content, "set": without_decoder(setup.content["set"])}
    together = {setup.setup}
    if len(table.decoders) > 1 and table.number != OWN:
        together |= set(table_setups(table, base))
    return [row for row in rows if row.setup in together]
