"""A table of the user's own: images with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.array import MAX_BYTES, as_pixels
from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.data.base import DATASETS, PathSource, RawData, own_path
from gpvae_core.data.damage import check_readable, counted, npz_in_one_line, short
from gpvae_core.data.decode import is_picture
from gpvae_core.data.split import PARTS, Split, stratified_test_split
from gpvae_core.data.table_cells import Cells, csv_table, parquet_table
from gpvae_core.data.table_columns import ColumnHeading, Filled, Where, fill, parse_headings, values_of
from gpvae_core.data.table_pictures import read_pictures
from gpvae_core.errors import UserError
from gpvae_core.reading import read_arrays

CELLS = {".csv": csv_table, ".parquet": parquet_table}
ARRAYS = ".npz"
IMAGES, OBSERVED = ("images", "x"), "observed"
"""Names of the arrays of images and of the mask in an .npz."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table."""

    images: NDArray[np.uint8 | np.float32]
    levels: int
    observed: NDArray[np.bool_]
    filled: list[Filled]
    parts: list[str] | None
    """Part of each row; None without a column 'split'."""
    notes: tuple[str, ...] = ()


@DATASETS.register("table")
class TableFile(PathSource):
    """A .csv or .parquet of image paths, or an .npz of images, with columns whose roles its header says: time:number.

    Parquet needs pyarrow. The header says a column's role as name:role, such as time:number,
    angle:number(period=360 unit=degrees), object:category, position:vector (numbers with spaces between them),
    frame:image, part:split or comment:skip; without one the role is guessed, and the guess is in the data set's note.
    In an .npz the arrays' names are the header.

    An empty path is a missing frame. A wholly transparent pixel is a missing one, and so is, in an .npz, NaN or where
    an array 'observed' (N, H, W) is False. A column 'split' names the part of each row: train, validation or test.
    """

    resizable: ClassVar[bool] = True

    def read(self) -> RawData:
        path = own_path(self.argument)
        check_readable(path)
        if path.suffix.lower() not in (*CELLS, ARRAYS):
            raise UserError(f"'{path}': wanted a table, which ends in {', '.join(CELLS)} or {ARRAYS}")
        if not path.is_file():
            raise UserError(f"'{path}' is not there: wanted a table")
        if path.suffix.lower() == ARRAYS:
            if self.config.size is not None:
                raise UserError(f"the images in '{path}' have a size of their own: leave out size={self.config.size}")
            rows = _from_arrays(path)
        else:
            rows = _from_cells(CELLS[path.suffix.lower()](path), self.config.size)
        return _raw(rows, self.config.split_seed, path)


def _from_cells(cells: Cells, size: int | None) -> Rows:
    """Return the rows of a CSV or Parquet file.

    Raises:
        UserError: there is no column of pictures, or more than one; a picture or a value is wrong.
    """
    header = f"'{cells.path}', row 1"
    headings = parse_headings(cells.header, header)
    pictures = _picture_column(headings, cells)
    images, observed, notes = read_pictures(cells, pictures, size)
    parts, filled = None, []
    for place, heading in enumerate(headings):
        if place == pictures or heading.role == "skip":
            continue
        if _is_split(heading):
            parts = _parts(cells.column(place), cells.where)
        else:
            values = values_of(heading, cells.column(place), cells.where)
            filled.append(fill(heading, values, cells.where, header))
    return Rows(images, 255, observed, filled, parts, notes)


def _picture_column(headings: Sequence[ColumnHeading], cells: Cells) -> int:
    """Return the place of the column of pictures: the one called so, or the only one whose cells end as pictures."""
    said = [place for place, heading in enumerate(headings) if heading.role == "image"]
    silent = [place for place, heading in enumerate(headings) if heading.role is None]
    found = said or [place for place in silent if _are_pictures(cells.column(place))]
    if len(found) != 1:
        listed = counted([headings[place].name for place in found], "column") if found else "none"
        raise UserError(f"'{cells.path}': wanted one column of image paths, got {listed}: call it name:image")
    return found[0]


def _are_pictures(cells: Sequence[str]) -> bool:
    return any(cells) and all(is_picture(cell) for cell in cells if cell)


def _is_split(heading: ColumnHeading) -> bool:
    return heading.role == "split" or (heading.role is None and heading.name.lower() == "split")


def _from_arrays(path: Path) -> Rows:
    """Return the rows of an .npz. Raises UserError if images, mask and columns do not belong together."""
    with npz_in_one_line(path):
        arrays = read_arrays(path, MAX_BYTES)
    headings = dict(zip(arrays, parse_headings(list(arrays), f"'{path}'"), strict=True))
    name = next((name for name in IMAGES if name in arrays), None)
    if name is None:
        raise UserError(f"'{path}': wanted an array 'images' (N, H, W), got {counted(arrays, 'array')}")
    images, levels, observed = _pixels(arrays[name], arrays.get(OBSERVED), path)

    def where(row: int) -> str:
        return f"'{path}', entry {row}"

    parts, filled = None, []
    for key, heading in headings.items():
        if key in (name, OBSERVED) or heading.role == "skip":
            continue
        if arrays[key].ndim == 0 or len(arrays[key]) != len(images):
            raise UserError(
                f"'{path}': wanted one entry of '{short(key)}' for each of {len(images)} images, got shape "
                f"{arrays[key].shape}"
            )
        if _is_split(heading):
            parts = _parts([str(value) for value in arrays[key]], where)
        elif heading.role == "image":
            raise UserError(f"'{path}': wanted the images in an array 'images', got a column '{short(key)}'")
        else:
            filled.append(fill(heading, arrays[key], where, f"'{path}'"))
    return Rows(images, levels, observed, filled, parts)


def _pixels(
    stored: np.ndarray, mask: np.ndarray | None, path: Path
) -> tuple[NDArray[np.uint8 | np.float32], int, NDArray[np.bool_]]:
    """Return (images (N, C, H, W), levels, observed pixels (N, H, W)); a missing pixel is 0."""
    where = f"'images' in '{path}'"
    missing = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, np.bool_)
    images, levels = as_pixels(np.where(missing, 0.0, stored) if missing.any() else stored, where)
    observed = np.logical_not(as_pixels(missing, where)[0].max(1))
    if mask is not None:
        if mask.shape != observed.shape or mask.dtype != np.bool_:
            raise UserError(
                f"'{OBSERVED}' in '{path}': wanted bools of shape {observed.shape}, got {mask.dtype} {mask.shape}"
            )
        observed &= mask
    return images * observed[:, None], levels, observed


def _parts(cells: Sequence[str], where: Where) -> list[str]:
    """Return the part of each row. Raises UserError if a cell names none, or no row is for training."""
    for row, cell in enumerate(cells):
        if cell.lower() not in PARTS:
            raise UserError(f"{where(row)}: wanted train, validation or test in column 'split', got '{short(cell)}'")
    parts = [PARTS[cell.lower()] for cell in cells]
    if "train" not in parts:
        raise UserError(f"{where(0)}: column 'split' names no row 'train'")
    return parts


def _raw(rows: Rows, seed: int, path: Path) -> RawData:
    auxiliary = (
        Auxiliary(
            tuple(filled.column for filled in rows.filled),
            {filled.column.name: filled.values for filled in rows.filled},
        )
        if rows.filled
        else None
    )
    observed = None if rows.observed.all() else rows.observed
    everything = Split(rows.images, np.zeros(len(rows.images), np.int64), rows.levels, auxiliary, observed)
    notes = (*rows.notes, _guesses(rows.filled), _holes_note(rows.observed), _split_note(rows.parts))
    note = "; ".join(filter(None, notes))
    doubtful = tuple(filled.column.name for filled in rows.filled if filled.doubtful)
    names = ("images",)
    if rows.parts is None:
        parts = stratified_test_split(everything, seed, f"'{path}'")
        return RawData(*parts, names, note=note, doubtful=doubtful)
    part_of = np.array(rows.parts)
    train, test, validation = (
        everything.take(np.flatnonzero(part_of == part)) for part in ("train", "test", "validation")
    )
    if not len(test):
        train, test = stratified_test_split(train, seed, f"'{path}'")
    return RawData(train, test, names, validation if len(validation) else None, note, doubtful=doubtful)


def _guesses(filled: Sequence[Filled]) -> str:
    """Return the roles that were guessed, in words; empty if none was."""
    guessed = [f"{one.column.name} is a {one.column.role}" for one in filled if one.guessed]
    return f"guessed: {', '.join(guessed)}; name:role in the header says it otherwise" if guessed else ""


def _holes_note(observed: NDArray[np.bool_]) -> str:
    """Return how many frames and pixels of other frames are missing, in words; empty if none is."""
    frames = np.count_nonzero(~observed.any((1, 2)))
    parts = np.count_nonzero(~observed.all((1, 2))) - frames
    words = [f"{frames} of {len(observed)} frames are missing"] if frames else []
    words += [f"pixels are missing in {parts} of {len(observed)} frames"] if parts else []
    return " and ".join(words)


def _split_note(parts: Sequence[str] | None) -> str:
    """Return where a part comes from that the table does not name, in words; empty if it names all that is needed."""
    if parts is None:
        return (
            "there is no column 'split': a seeded 20 % of the rows is the test set, so that rows of one object or "
            "video can be in several parts"
        )
    return "" if "test" in parts else "no row is of the part 'test': a seeded 20 % of those of 'train' is the test set"
