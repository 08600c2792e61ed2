"""Comparison of a paper table with our results, cell by cell, from the printed numbers and the rows of a sweep.

Our numbers are means and standard deviations over runs (splits), with the restart of the best validation ELBO for each
run. The paper does not state whether its standard deviations are over runs, nor which two-sided t-test it uses. Here
they are taken as over its 10 runs, and the test is Welch's (unequal variances), for both the paper's numbers and ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.sweep.results import Cost, Result, best_restarts
from gpvae_core.tables.build import DECODER_KINDS, added, with_methods
from gpvae_core.tables.paper import NATS, PaperColumn, PaperRow, PaperTable, PaperValue

P_THRESHOLD = 0.01
"""p-value above which the paper sees 'little evidence of difference' from the best (Table 1)."""
BEST, CLOSE, BEHIND = "best", "close", "behind"
"""Marks: the best mean of a column; p > 0.01 compared with it; and p <= 0.01."""


@dataclass(frozen=True)
class Cell:
    """One method on one data set at one d: the paper's values and ours; unknown ones are None."""

    table: int
    name: str
    method: str
    dataset: str
    latent_dim: int
    decoder: str
    """'conv' or 'fc'."""
    unit: str
    paper_mean: float | None
    paper_sd: float | None
    paper_p: float | None
    """p-value of Welch's t-test with the paper's best of the column, computed from means and standard deviations."""
    paper_mark: str | None
    mean: float | None
    sd: float | None
    """Sample standard deviation over runs; None for fewer than two."""
    runs: int
    p: float | None
    """p-value of Welch's t-test with our best of the column; None if either has fewer than two runs."""
    mark: str | None
    wanted: int
    """Number of requested runs."""
    missing: int
    """Number of missing runs."""
    failed: int
    """Number of failed trainings, which the next start tries again."""
    missing_seconds: float | None
    """Time of the remaining trainings, one after the other; 0.0 if nothing is missing."""
    note: str | None
    """A remark on our images, such as that they are a subset."""


def compare(
    table: PaperTable,
    rows: Sequence[Result],
    costs: Mapping[str, Cost] | None = None,
    runs: int | None = None,
    restarts: int | None = None,
    dims: Sequence[int] = (),
    methods: Sequence[str] = (),
) -> list[Cell]:
    """Return the table's cells, column by column, without the cells that are empty in the paper.

    Args:
        rows: results of the table's setups; rows of other data sets, methods or decoders are ignored.
        costs: costs of jobs by cost key (`Results.costs()`), from which the time of missing runs is estimated.
        runs, restarts: requested numbers for each cell; by default the paper's.
        dims, methods: selected cells; by default all of the paper's. Methods that the paper does not have come last.
    """
    table = with_methods(table, methods)
    by_cell: dict[tuple[str, str, int, str], list[Result]] = {}
    for row in rows:
        by_cell.setdefault((row.dataset, row.method, row.latent_dim, row.decoder), []).append(row)
    cells: list[Cell] = []
    for i, column in enumerate(table.columns):
        if dims and column.latent_dim not in dims:
            continue
        members = [row for row in table.rows if not methods or row.method in methods]
        ours = {row.method: _results_of(by_cell, table, column, row) for row in members}
        scores = {m: [row.test_score for row in best_restarts(results)] for m, results in ours.items()}
        theirs: list[Test] = [(None, None)] * len(table.rows)
        if table.unit == NATS:  # the paper has no marks in its tables of times
            theirs = paper_marks([row.cells[i] for row in table.rows], table.runs)
        tests = dict(zip(scores, our_marks(list(scores.values())), strict=True))
        for row, paper in zip(table.rows, theirs, strict=True):
            if row.method in ours and (row.cells[i] is not None or added(row)):
                progress = count_missing(ours[row.method], costs or {}, runs or table.runs, restarts or table.restarts)
                cells.append(
                    make_cell(table, column, row, row.cells[i], paper, scores[row.method], tests[row.method], progress)
                )
    return cells


def _results_of(
    by_cell: Mapping[tuple[str, str, int, str], list[Result]], table: PaperTable, column: PaperColumn, row: PaperRow
) -> list[Result]:
    """Return the results of one cell.

    A method that the paper does not have may use any kind of decoder, unless the table compares decoders.
    """
    any_decoder = added(row) and len(table.decoders) == 1
    kinds = [kind for *_, kind in by_cell] if any_decoder else [DECODER_KINDS[column.decoder]]
    cell = (column.dataset, row.method, column.latent_dim)
    return [result for kind in dict.fromkeys(kinds) for result in by_cell.get((*cell, kind), [])]


@dataclass(frozen=True)
class Missing:
    """The missing runs of a cell: the last five fields of `Cell`."""

    wanted: int
    missing: int
    failed: int
    seconds: float | None
    note: str | None


Test = tuple[float | None, str | None]
"""A p-value and a mark."""


def make_cell(
    table: PaperTable,
    column: PaperColumn,
    row: PaperRow,
    value: PaperValue | None,
    paper: Test,
    scores: Sequence[float],
    ours: Test,
    progress: Missing,
) -> Cell:
    """Return the cell of a column and row, from the paper's value, our scores and both tests."""
    return Cell(
        table=table.number,
        name=row.name,
        method=row.method,
        **column._asdict(),
        unit=table.unit,
        paper_mean=None if value is None else value.mean,
        paper_sd=None if value is None else value.sd,
        paper_p=paper[0],
        paper_mark=paper[1],
        mean=statistics.fmean(scores) if scores else None,
        sd=statistics.stdev(scores) if len(scores) > 1 else None,
        runs=len(scores),
        p=ours[0],
        mark=ours[1],
        wanted=progress.wanted,
        missing=progress.missing,
        failed=progress.failed,
        missing_seconds=progress.seconds,
        note=progress.note,
    )


def count_missing(rows: Sequence[Result], costs: Mapping[str, Cost], runs: int, restarts: int) -> Missing:
    """Count the missing runs of a cell, and estimate their time if the cost of a job is known."""
    complete = best_restarts(rows)
    requested = max(runs, len(complete))
    missing = requested - len(complete)
    splits = {row.split for row in complete}
    jobs = missing * restarts - sum(row.status == "done" and row.split not in splits for row in rows)
    known = [costs[row.cost_key].job(row.epochs_wanted) for row in rows if row.cost_key in costs]
    seconds = 0.0 if missing == 0 else max(0, jobs) * known[0] if known else None
    notes = [row.note for row in rows if row.note]
    return Missing(
        requested, missing, sum(row.status == "failed" for row in rows), seconds, notes[0] if notes else None
    )


def our_marks(scores: Sequence[Sequence[float]], smaller_is_better: bool = False) -> list[Test]:
    """Return the p-value of Welch's t-test of each method's scores with the best method's, and the mark."""
    known = [i for i, values in enumerate(scores) if values]
    if not known:
        return [(None, None)] * len(scores)
    sign = -1.0 if smaller_is_better else 1.0
    best = max(known, key=lambda i: sign * statistics.fmean(scores[i]))
    out: list[Test] = []
    for i, values in enumerate(scores):
        if not values or i == best:
            out.append((None, BEST if i == best else None))
        else:
            out.append(_mark(_welch(values, scores[best])))
    return out


def paper_marks(values: Sequence[PaperValue | None], runs: int) -> list[Test]:
    """Return the tests from printed means and standard deviations over `runs` runs; p is None without the latter."""
    known = [(value.mean, i) for i, value in enumerate(values) if value is not None]
    best = max(known)[1] if known else -1
    top = values[best] if known else None
    out: list[Test] = []
    for i, value in enumerate(values):
        if value is None or top is None or i == best:
            out.append((None, BEST if i == best else None))
        else:
            out.append(_mark(welch_p(value.mean, value.sd, runs, top.mean, top.sd, runs)))
    return out


def _mark(p: float | None) -> Test:
    return p, None if p is None else CLOSE if p > P_THRESHOLD else BEHIND


def _welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    if len(a) < 2 or len(b) < 2:
        return None
    return welch_p(statistics.fmean(a), statistics.stdev(a), len(a), statistics.fmean(b), statistics.stdev(b), len(b))


def welch_p(mean_a: float, sd_a: float | None, n_a: int, mean_b: float, sd_b: float | None, n_b: int) -> float | None:
    """Return the two-sided p-value of Welch's t-test; None without standard deviations, 0 or 1 if both are zero."""
    if sd_a is None or sd_b is None:
        return None
    if sd_a == sd_b == 0:
        return 1.0 if mean_a == mean_b else 0.0
    from scipy.stats import ttest_ind_from_stats  # takes half a second to import

    return float(ttest_ind_from_stats(mean_a, sd_a, n_a, mean_b, sd_b, n_b, equal_var=False).pvalue)
