"""From the state of the Results page to its request: the sheet that is asked for, with what there is to choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dashboards.lab.resolved import Resolved, Values
from dashboards.results.state import dims_of, methods_of
from gpvae_core.errors import UserError, unknown
from gpvae_core.plots.theme import Theme
from gpvae_core.sweep.result_files import ResultFiles, Signature, signature
from gpvae_core.tables.compare import Cell
from gpvae_core.tables.sheet import TIME_TABLES, Sheet, SheetChoice, StoredResults, make_sheet, read, table_options
from gpvae_core.tables.times import bench_times

Written = tuple[tuple[str, ...], tuple[Signature, ...]]
"""Names of the files there are, and when those shown were written."""


@dataclass(frozen=True)
class ResultsRequest:
    """A sheet with what there is to choose from, and when its files were written."""

    sheet: Sheet
    tables: Mapping[str, str]
    files: tuple[str, ...]
    file: str
    dims: tuple[int, ...]
    methods: tuple[str, ...]
    wanted_column: str
    written: Written
    theme: Theme

    @property
    def columns(self) -> dict[str, list[Cell]]:
        """The cells shown, by column; the key goes into the address."""
        out: dict[str, list[Cell]] = {}
        for cell in self.sheet.cells:
            out.setdefault(f"{cell.dataset}-d{cell.latent_dim}-{cell.decoder}", []).append(cell)
        return out

    @property
    def column(self) -> str:
        """The column chosen, else the first of those with most of ours; '' where there is none."""
        columns = self.columns
        if self.wanted_column in columns:
            return self.wanted_column
        return max(columns, key=lambda key: sum(cell.mean is not None for cell in columns[key]), default="")


def resolve(files: ResultFiles, values: Values) -> Resolved[ResultsRequest]:
    """Return the sheet; where something is wrong, what can be shown without it."""
    found = files.found()
    path, complaints = _file_of(found, values["file"])
    written = written_now(files, found, path)
    dims, methods = dims_of(values["dims"]), methods_of(values["methods"])
    choice = SheetChoice(path, values["table"], values["setup"], dims, methods, values["runs"])
    stored, bench = StoredResults(), files.bench()
    try:
        stored = read(path)
    except UserError as error:
        complaints.append(str(error))
    try:
        if bench is not None and choice.table in TIME_TABLES:
            stored = replace(stored, times=bench_times(bench))
    except UserError as error:
        complaints.append(str(error))
    try:
        sheet = make_sheet(stored, choice)
    except UserError as error:
        complaints.append(str(error))
        sheet = make_sheet(stored, SheetChoice(path))
    file = next((name for name, one in found.items() if one == path), "")
    tables = table_options(stored)
    request = ResultsRequest(sheet, tables, tuple(found), file, dims, methods, values["column"], written, values.theme)
    return Resolved(request, standing=complaints)


def has_changed(files: ResultFiles, file: str, request: ResultsRequest) -> bool:
    """Return whether a file was written or has appeared since the request was answered."""
    found = files.found()
    return written_now(files, found, _file_of(found, file)[0]) != request.written


def written_now(files: ResultFiles, found: Mapping[str, Path], path: Path | None) -> Written:
    """Return what tells whether there is something new."""
    return tuple(sorted(found)), tuple(signature(file) for file in (path, files.bench()) if file is not None)


def _file_of(found: Mapping[str, Path], name: str) -> tuple[Path | None, list[str]]:
    """Return the file of this name; the newest, and why, where there is none of that name."""
    newest = next(iter(found.values()), None)
    if not name or name in found:
        return found.get(name, newest), []
    return newest, [str(unknown("results file", name, found))]
