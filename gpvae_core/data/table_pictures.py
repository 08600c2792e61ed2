"""The pictures that a table of the user's own names, with the pixels that are missing."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.array import SIDES
from gpvae_core.data.damage import short
from gpvae_core.data.decode import picture_size, transparent
from gpvae_core.data.images import grey_if_possible
from gpvae_core.data.table_cells import Cells
from gpvae_core.data.tree import ImageFile, decode_all, read_file
from gpvae_core.errors import UserError
from gpvae_core.files import real_path


def read_pictures(
    cells: Cells, place: int, size: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[str, ...]]:
    """Return (images (N, C, H, W), observed pixels (N, H, W), notes) of the pictures that a column names.

    A frame without a picture is missing, and so is a pixel that is wholly transparent; both are stored as 0.

    Args:
        size: side to which pictures are resized; by default they must have one shape, which they keep.

    Raises:
        UserError: no row names a picture, one is not there, lies elsewhere than below the table's folder, is damaged
            or has another shape, or one with transparent pixels would be resized.
    """
    named = [(row, text) for row, text in enumerate(cells.column(place)) if text]
    if not named:
        raise UserError(f"'{cells.path}': column '{short(cells.header[place])}' names no picture")
    below: dict[Path, bool] = {}
    pictures = [_picture(cells, row, text, below) for row, text in named]
    height, width = (size, size) if size else _common_shape(pictures)
    decoded = decode_all(pictures, 3, height, cells.path.name, width=width)
    pixels = grey_if_possible(decoded.pixels)
    rows = [row for row, _ in named]
    images = np.zeros((len(cells.rows), *pixels.shape[1:]), np.uint8)
    observed = np.zeros((len(cells.rows), height, width), np.bool_)
    images[rows] = pixels
    for row, picture in zip(rows, pictures, strict=True):
        observed[row] = ~_holes(picture, (height, width))
    images *= observed[:, None]
    notes = decoded.crop_note(f"'{cells.path.name}'"), decoded.frames_note(f"'{cells.path.name}'")
    return images, observed, notes


def _picture(cells: Cells, row: int, text: str, below: dict[Path, bool]) -> ImageFile:
    """Return the file of a row.

    Args:
        below: whether each folder met so far lies below the table's, links followed; it is extended.

    Raises:
        UserError: the file is not there, or not below the table's folder.
    """
    relative, folder = PurePath(text), cells.path.parent
    where = f"{cells.where(row)}: picture '{short(text)}'"
    if "\0" in text or relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"{where}: wanted a path below the table's folder, relative to it")
    path = folder / relative
    if not os.path.isfile(path):
        raise UserError(f"{where} is not there, or no file: wanted a path relative to the table's folder")
    # As in a folder of images, a link to a file is read, and a link to a folder is not followed.
    if path.parent not in below:
        below[path.parent] = real_path(path.parent).is_relative_to(real_path(folder))
    if not below[path.parent]:
        raise UserError(f"{where} lies behind a link that leaves the table's folder")
    return ImageFile((), relative.name, where, partial(read_file, path))


def _common_shape(pictures: list[ImageFile]) -> tuple[int, int]:
    """Return (height, width) of all pictures. Raises UserError if two differ, or a side is not one of SIDES."""
    sizes = [picture_size(picture.read(), picture.where) for picture in pictures]
    width, height = sizes[0]
    for picture, size in zip(pictures, sizes, strict=True):
        if size != sizes[0]:
            raise UserError(
                f"{picture.where} has {size[0]}x{size[1]} pixels: wanted {width}x{height} as of the first, or a size "
                "for all (--set data.size=32)"
            )
    if not SIDES[0] <= min(width, height) <= max(width, height) <= SIDES[1]:
        raise UserError(
            f"{pictures[0].where} has {width}x{height} pixels: wanted sides of {SIDES[0]} to {SIDES[1]}, or a size to "
            "which pictures are resized (--set data.size=32)"
        )
    return height, width


def _holes(picture: ImageFile, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the missing pixels (H, W). Raises UserError if there are any, and the picture has another shape."""
    holes = transparent(picture.read(), picture.where)
    if holes.shape == shape:
        return holes
    if holes.any():
        raise UserError(
            f"{picture.where} has transparent pixels, which are missing ones: wanted its own size, "
            f"{holes.shape[1]}x{holes.shape[0]}, as resizing would mix them with others"
        )
    return np.zeros(shape, np.bool_)
