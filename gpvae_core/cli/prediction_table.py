"""`gpvae table jazbec-1`: a table of errors of predictions beside the results of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpvae_core.cli.options import refuse
from gpvae_core.cli.output import check_files, put_json, say
from gpvae_core.cli.table import print_table
from gpvae_core.errors import unknown
from gpvae_core.parsing import whole_number

if TYPE_CHECKING:
    from gpvae_core.tables.predictions import PredictionRow


def table_number(name: str) -> int:
    """Return the number of a table of Kim & Pavlovic 2021. Raises UserError for what is no number."""
    number = whole_number(name)
    if number is None:
        from gpvae_core.tables.paper import table_numbers
        from gpvae_core.tables.predictions import prediction_tables

        raise unknown("table", name, [*map(str, table_numbers()), *prediction_tables()])
    return number


def show_predictions(key: str, place: Path | None, csv: Path | None, json_: bool, refused: Mapping[str, Any]) -> None:
    """Print a table of errors of predictions, from the results in a sweep's folder; nothing is trained.

    Raises:
        UserError: one of the options in `refused` is given, or there are no results.
    """
    from gpvae_core.files import write_text
    from gpvae_core.tables.predictions import prediction_table

    refuse(refused, f"Table '{key}' shows the results of a sweep that exists, and trains nothing")
    check_files(csv)
    table = prediction_table(key, place)
    if csv is not None:
        write_text(csv, table.to_csv())
    if put_json(asdict(table), json_):
        return
    say(f"{table.title}: mean square error of a pixel of the test images, pixel² ({table.source})")
    print_table([_line(row) for row in table.rows])
    say("mean ± standard deviation over runs")
    for note in table.notes:
        say(note)
    if any(row.runs < row.wanted for row in table.rows):
        say(f"missing runs: gpvae sweep {table.file}")


def _line(row: PredictionRow) -> dict[str, Any]:
    return {
        "method": row.name,
        "paper": _value(row.paper_mse, row.paper_mse_sd, 4),
        "ours, as published": _value(row.mse_published, row.mse_published_sd, 4),
        "ours, sample decoded": _value(row.mse_sample, row.mse_sample_sd, 4),
        "ours, mean decoded": _value(row.mse, row.mse_sd, 4),
        "runs": f"{row.runs}/{row.wanted}",
        "epochs": row.epochs,
        "s/epoch, paper": _value(row.paper_seconds, None, 2),
        "s/epoch, ours": _value(row.seconds, row.seconds_sd, 2),
    }


def _value(mean: float | None, sd: float | None, digits: int) -> str:
    return "" if mean is None else f"{mean:.{digits}f}" + ("" if sd is None else f"±{sd:.{digits}f}")
