"""The cells of a table of the user's own, CSV or Parquet, as texts."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.csv_text import csv_cells
from gpvae_core.data.damage import cannot_read, short
from gpvae_core.errors import UserError
from gpvae_core.reading import DAMAGE, MOST_TEXT, read_bytes, read_text

FIRST_ROW = 2
"""Number of the first row of Parquet below the header, which is row 1 in CSV."""
MOST_ROWS = 300_000
MOST_CELLS = 5_000_000
MOST_UNPACKED = 1 << 28
"""Most bytes of a Parquet file's columns, as it states them."""


@dataclass(frozen=True)
class Cells:
    """The header and the rows of a table, each row with as many cells as the header."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    numbers: list[int]
    """Number of each row in the file; the header is row 1."""

    def where(self, row: int) -> str:
        """Return the place of a row in error messages."""
        return f"'{self.path}', row {self.numbers[row]}"

    def column(self, place: int) -> list[str]:
        """Return the cells of a column."""
        return [row[place] for row in self.rows]


SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""What may stand in place of commas, and is told from a header of one cell."""


def csv_table(path: Path) -> Cells:
    """Return the cells of a CSV file. Empty lines count, but are no rows.

    Raises:
        UserError: it cannot be read, is no text in UTF-8, is empty, or a row has another number of cells.
    """
    try:
        lines = csv_cells(read_text(path))
    except OSError as error:
        raise cannot_read(path, error) from None
    except ValueError as error:  # also no UTF-8
        raise UserError(f"'{path}' is not a CSV file in UTF-8 ({short(error)})") from None
    numbers = [number for number, line in enumerate(lines, 1) if line]
    header, *rows = [line for line in lines if line] or [[]]
    other = next((sign for sign in SEPARATORS if len(header) == 1 and sign in header[0]), "")
    if other:
        raise UserError(
            f"'{path}': wanted cells with commas between them, got the header '{short(header[0])}': are they separated "
            f"by {SEPARATORS[other]}?"
        )
    cells = _checked(Cells(path, header, rows, numbers[1:]))
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise UserError(f"{cells.where(number)}: wanted {len(header)} cells as in the header, got {len(row)}")
    return cells


def parquet_table(path: Path) -> Cells:
    """Return the cells of a Parquet file; lists become numbers with spaces between them, and nulls empty.

    Raises:
        UserError: pyarrow is not installed, or the file cannot be read, is too large, damaged or empty.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")  # optional: only these files need it
    except ImportError:
        raise UserError(
            f"'{path}': reading Parquet needs pyarrow: pip install pyarrow, or save the table as CSV"
        ) from None
    try:
        file = parquet.ParquetFile(io.BytesIO(read_bytes(path, MOST_TEXT)))
        about = file.metadata
        stated = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if stated > MOST_UNPACKED or about.num_rows * about.num_columns > MOST_CELLS:
            raise UserError(
                f"'{path}' is too large: wanted at most {MOST_CELLS:,} cells and {MOST_UNPACKED >> 20} MiB of columns"
            )
        table = file.read()
        columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    except UserError:
        raise
    except OSError as error:
        raise cannot_read(path, error) from None
    except DAMAGE as error:
        raise UserError(f"'{path}' is not a Parquet file, or is damaged ({short(error)})") from None
    rows = [list(row) for row in zip(*columns, strict=True)]
    return _checked(Cells(path, table.column_names, rows, [*range(FIRST_ROW, FIRST_ROW + len(rows))]))


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value).strip()


def _checked(cells: Cells) -> Cells:
    """Return the cells. Raises UserError if there are no rows, or more than MOST_ROWS."""
    if not cells.rows:
        raise UserError(f"'{cells.path}' holds no rows: wanted a header and below it a row for each image")
    if len(cells.rows) > MOST_ROWS:
        raise UserError(
            f"'{cells.path}' has {len(cells.rows):,} rows: wanted at most {MOST_ROWS:,}; save more images as an .npz"
        )
    return cells
