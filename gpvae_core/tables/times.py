"""The paper's inference times (Tables 5 and 11), and the rows of a stored `gpvae bench inference --json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpvae_core.errors import UserError
from gpvae_core.parsing import parse_json
from gpvae_core.reading import read_text
from gpvae_core.tables.build import choose
from gpvae_core.tables.paper import PaperTable


def time_rows(table: PaperTable, dims: Sequence[int] = (), methods: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return one row per method, with the paper's milliseconds per batch of 128 by data set, d and decoder.

    Raises:
        UserError: the table has no such dimension or method.
    """
    chosen_dims, chosen_methods = choose(table, dims, methods)
    several = len(table.decoders) > 1
    columns = {
        f"{c.dataset} d={c.latent_dim}{f' {c.decoder}' if several else ''}": i
        for i, c in enumerate(table.columns)
        if c.latent_dim in chosen_dims
    }
    return [
        {
            "method": row.method,
            **{head: None if (cell := row.cells[i]) is None else cell.mean for head, i in columns.items()},
        }
        for row in table.rows
        if row.method in chosen_methods
    ]


def bench_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a stored bench: case, metric, median, ratio and device.

    Raises:
        UserError: the file is missing or is not what `gpvae bench inference --json` prints.
    """
    with _output_errors(path):
        content = parse_json(read_text(path))
        device = content["machine"]["device"]
        return [
            {
                "case": row["case"],
                "metric": row["metric"],
                "value": f"{row['value']:.4g} {row['unit']}",
                "ratio": "" if row["ratio"] is None else f"{row['ratio']:.2f} x {row['ratio_to']}",
                "device": device,
            }
            for row in content["rows"]
        ]


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    """Turn the errors of reading a stored bench into UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, OverflowError):
        raise UserError(f"'{path}' is not what `gpvae bench inference --json` prints") from None


BENCH_METRIC = "time per batch of 128"
BENCH_COLUMNS = frozenset({("mnist", 50, "conv"), ("omniglot", 50, "conv")})
"""Data set, d and decoder of the columns whose networks, those for 28x28 images, the bench times."""


@dataclass(frozen=True)
class Times:
    """The times of a stored bench for the columns BENCH_COLUMNS."""

    milliseconds: Mapping[str, float]
    """Median time per batch by method."""
    device: str
    threads: int


def bench_times(path: Path) -> Times:
    """Return the times of a stored `gpvae bench inference --json`.

    Raises:
        UserError: the file is missing or is not what that command prints.
    """
    with _output_errors(path):
        content = parse_json(read_text(path))
        rows = [row for row in content["rows"] if row["metric"] == BENCH_METRIC]
        milliseconds = {str(row["case"]): float(row["value"]) for row in rows}
        return Times(milliseconds, str(content["machine"]["device"]), int(content["machine"]["threads"]))
