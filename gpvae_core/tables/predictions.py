"""Tables of errors of predictions beside our results: Table 1 of Jazbec et al. 2021, from a sweep that exists.

The printed values are in jazbec_2021.json in this package. Torch is not imported.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gpvae_core.csv_text import csv_text
from gpvae_core.errors import UserError, unknown
from gpvae_core.sweep.result import Result
from gpvae_core.sweep.results import best_restarts, open_results
from gpvae_core.tables.paper import PaperValue, printed


@dataclass(frozen=True)
class PredictionRow:
    """One method: the paper's values, and the mean over our runs with standard deviation; unknown ones are None."""

    name: str
    method: str
    paper_mse: float
    paper_mse_sd: float
    mse: float | None
    """Mean square error of a pixel, mean of the latents decoded, epoch chosen on held-out views."""
    mse_sd: float | None
    mse_sample: float | None
    """The same, with one sample of the latents decoded."""
    mse_sample_sd: float | None
    mse_published: float | None
    """As the paper has it: the smallest test error of the kept epochs."""
    mse_published_sd: float | None
    runs: int
    wanted: int
    epochs: int | None
    """Largest number of epochs of a run."""
    paper_seconds: float
    seconds: float | None
    """Seconds of an epoch's training passes."""
    seconds_sd: float | None


@dataclass(frozen=True)
class PredictionTable:
    """A table of errors of predictions."""

    key: str
    title: str
    source: str
    notes: tuple[str, ...]
    file: str
    """The sweep file that makes our results."""
    rows: tuple[PredictionRow, ...]

    def to_csv(self) -> str:
        """Return one line per method with all fields of `PredictionRow`."""
        names = [field.name for field in fields(PredictionRow)]
        return csv_text(names, ([getattr(row, name) for name in names] for row in self.rows))


def _content() -> dict[str, Any]:
    return printed("jazbec_2021")


def prediction_tables() -> tuple[str, ...]:
    """Return the keys of the tables, as 'jazbec-1'."""
    return tuple(_content()["tables"])


def prediction_table(key: str, place: Path | None = None) -> PredictionTable:
    """Return a table with the results of a sweep's folder; of each method, those of the setup with most of them.

    Args:
        place: the folder, or its results.sqlite; None for the table's own.

    Raises:
        UserError: there is no such table, or the folder has no results.
    """
    tables = _content()["tables"]
    if key not in tables:
        raise unknown("table", key, tables)
    raw = tables[key]
    results = open_results(place or Path(raw["out"]))
    rows = [
        row
        for row in results.rows()
        if (row.dataset, row.latent_dim) == (raw["dataset"], raw["latent_dim"]) and row.test_mse is not None
    ]
    if not rows:
        raise UserError(
            f"'{results.path}' has no finished run of {raw['dataset']} with d = {raw['latent_dim']}: wanted those of "
            f"gpvae sweep {raw['file']}"
        )
    return PredictionTable(
        key=key,
        title=raw["title"],
        source=_content()["source"],
        notes=tuple(raw["notes"]),
        file=raw["file"],
        rows=tuple(_row(row, _of_one_setup(row["method"], rows), raw["runs"]) for row in raw["rows"]),
    )


def _of_one_setup(method: str, rows: Sequence[Result]) -> list[Result]:
    """Return the runs of a method, of the setup with most of them and, of equals, most epochs.

    Of each split it is the best restart by validation.
    """
    setups: dict[str, list[Result]] = {}
    for row in rows:
        if row.method == method:
            setups.setdefault(row.setup, []).append(row)
    best = [best_restarts(members) for members in setups.values()]
    return max(best, key=lambda runs: (len(runs), max((row.epochs or 0 for row in runs), default=0)), default=[])


def _row(raw: Mapping[str, Any], runs: Sequence[Result], wanted: int) -> PredictionRow:
    mse, seconds = PaperValue(*raw["mse"]), PaperValue(*raw["seconds"])
    mean, sample, published, epoch_seconds = (
        _spread([value for value in values if value is not None])
        for values in (
            [row.test_mse for row in runs],
            [row.test_mse_sample for row in runs],
            [row.test_mse_published for row in runs],
            [_epoch_seconds(row) for row in runs],
        )
    )
    return PredictionRow(
        name=raw["name"],
        method=raw["method"],
        paper_mse=mse.mean,
        paper_mse_sd=mse.sd or 0.0,
        mse=mean[0],
        mse_sd=mean[1],
        mse_sample=sample[0],
        mse_sample_sd=sample[1],
        mse_published=published[0],
        mse_published_sd=published[1],
        runs=len(runs),
        wanted=max(wanted, len(runs)),
        epochs=max((row.epochs or 0 for row in runs), default=None),
        paper_seconds=seconds.mean,
        seconds=epoch_seconds[0],
        seconds_sd=epoch_seconds[1],
    )


def _epoch_seconds(row: Result) -> float | None:
    return row.train_seconds / row.epochs if row.train_seconds is not None and row.epochs else None


def _spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation over runs; None where there are too few."""
    return (
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
    )
