"""The request of the Results page: the table asked for, and all that can be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dashboards.lab.address import listed
from dashboards.lab.resolved import Resolved, Values
from dashboards.results.state import dims_of
from gpvae_core.errors import unknown
from gpvae_core.plots.theme import Theme
from gpvae_core.sweep.result_files import ResultFiles, Signature, signature
from gpvae_core.tables.compare import Cell
from gpvae_core.tables.sheet import TIME_TABLES, Sheet, SheetChoice, StoredResults, make_sheet, read, table_options
from gpvae_core.tables.times import bench_times

Written = tuple[tuple[str, ...], tuple[Signature, ...]]
"""The names of all results files, and a signature of those shown, which changes when they are written."""


@dataclass(frozen=True)
class ResultsRequest:
    """The sheet shown, the tables, files, rows and columns that can be chosen, and a signature of the files."""

    sheet: Sheet
    tables: Mapping[str, str]
    files: tuple[str, ...]
    file: str
    dims: tuple[int, ...]
    methods: tuple[str, ...]
    chosen_column: str
    written: Written
    theme: Theme

    @property
    def columns(self) -> dict[str, list[Cell]]:
        """The cells shown, by the key of their column, which stands in the address."""
        out: dict[str, list[Cell]] = {}
        for cell in self.sheet.cells:
            out.setdefault(f"{cell.dataset}-d{cell.latent_dim}-{cell.decoder}", []).append(cell)
        return out

    @property
    def column(self) -> str:
        """The chosen column or, if there is none, the first of those with most of our results; '' for no columns."""
        columns = self.columns
        if self.chosen_column in columns:
            return self.chosen_column
        return max(columns, key=lambda key: sum(cell.mean is not None for cell in columns[key]), default="")


def resolve(files: ResultFiles, values: Values) -> Resolved[ResultsRequest]:
    """Return the request; a choice or file that cannot be read is left out, with a complaint that lasts."""
    # Read before the files are: one that is written in between is noticed at the next look.
    written, paths = written_now(files, values["file"]), files.found()
    path = _file_of(paths, values["file"])
    if values["file"] and values["file"] not in paths:
        values.complaints.append(str(unknown("results file", values["file"], paths)))
    dims, methods = dims_of(values["dims"]), listed(values["methods"], ",")
    choice = SheetChoice(path, values["table"], values["setup"], dims, methods, values["runs"])
    stored, bench = values.attempt(lambda: read(path), StoredResults()), files.bench()
    if bench is not None and choice.table in TIME_TABLES:
        stored = replace(stored, times=values.attempt(lambda: bench_times(bench), None))
    sheet = values.attempt(lambda: make_sheet(stored, choice), None) or make_sheet(stored, SheetChoice(path))
    request = ResultsRequest(
        sheet=sheet,
        tables=table_options(stored),
        files=tuple(paths),
        file=next((name for name in paths if paths[name] == path), ""),
        dims=dims,
        methods=methods,
        chosen_column=values["column"],
        written=written,
        theme=values.theme,
    )
    return Resolved(request, lasting=values.complaints)


def written_now(files: ResultFiles, file: str) -> Written:
    """Return the names and signature of the results files as they are now."""
    paths = files.found()
    shown = (_file_of(paths, file), files.bench())
    return tuple(sorted(paths)), tuple(signature(path) for path in shown if path is not None)


def _file_of(paths: Mapping[str, Path], name: str) -> Path | None:
    """Return the file of this name or, if there is none, the newest."""
    return paths.get(name, next(iter(paths.values()), None))
