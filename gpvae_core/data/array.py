"""Images of the user's own in a NumPy archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, PathSource, RawData, own_path
from gpvae_core.data.classes import ShownClasses, shown_classes
from gpvae_core.data.damage import cannot_read, check_readable, short
from gpvae_core.data.levels import SET_LEVELS, check_levels, sliver_note
from gpvae_core.data.split import Split, stratified_test_split
from gpvae_core.errors import UserError
from gpvae_core.reading import DAMAGE, read_arrays

MAX_BYTES = 8_000_000_000
SIDES = (4, 256)
_CHANNELS = (1, 3)
_PARTS = (("train_images", "train_labels"), ("test_images", "test_labels"))
_WHOLE_IMAGES = ("images", "x")
_WHOLE_LABELS = ("labels", "y")

Arrays = Mapping[str, np.ndarray]


@DATASETS.register("array")
class ArrayFile(PathSource):
    """An .npz with images (or train_images and test_images) as bytes or floats in [0, 1], optionally labels; no pickle.

    With `levels`, values from 0 to `levels` of any type of numbers.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W). Without a partition, a seeded 20 % of each class is the test
    set.
    """

    scalable: ClassVar[bool] = True

    def read(self) -> RawData:
        path = own_path(self.argument)
        arrays = read_npz(path, {name for pair in _PARTS for name in pair} | {*_WHOLE_IMAGES, *_WHOLE_LABELS})
        if all(images in arrays for images, _ in _PARTS):
            return self._partitioned(arrays, path)
        images = next((name for name in _WHOLE_IMAGES if name in arrays), None)
        if images is None:
            raise UserError(f"'{path}': wanted an array 'images' (or 'x'), or 'train_images' and 'test_images'")
        labels = next((name for name in _WHOLE_LABELS if name in arrays), "")
        pixels, levels = as_pixels(arrays[images], f"'{images}' in '{path}'", self.config.levels)
        names, classes, shown = _classes(_labels(arrays, labels, len(pixels), path))
        whole = Split(pixels, classes, levels)
        splits = stratified_test_split(whole, self.config.split_seed, f"'{path}'")
        return RawData(*splits, names, note=_note(pixels, levels, images), shown=shown)

    def _partitioned(self, arrays: Arrays, path: Path) -> RawData:
        (train, levels), (test, test_levels) = (
            as_pixels(arrays[name], f"'{name}' in '{path}'", self.config.levels) for name, _ in _PARTS
        )
        if train.shape[1:] != test.shape[1:] or levels != test_levels:
            raise UserError(
                f"'{path}': wanted training and test images of one shape and type, got {train.dtype} {train.shape[1:]} "
                f"and {test.dtype} {test.shape[1:]}"
            )
        if len({name in arrays for _, name in _PARTS}) == 2:
            raise UserError(f"'{path}': wanted labels of both training and test images, or of none")
        counts = (len(train), len(test))
        labels = [_labels(arrays, name, count, path) for (_, name), count in zip(_PARTS, counts, strict=True)]
        names, classes, shown = _classes(np.concatenate(labels))
        splits = (Split(train, classes[: len(train)], levels), Split(test, classes[len(train) :], levels))
        notes = [_note(split.images, levels, name) for split, (name, _) in zip(splits, _PARTS, strict=True)]
        return RawData(*splits, names, note="; ".join(filter(None, notes)), shown=shown)


def read_npz(path: Path, names: set[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz with these names, as far as it has them.

    Raises:
        UserError: the file does not exist, cannot be read, is not an .npz, is truncated, contains Python objects, or
            exceeds MAX_BYTES.
    """
    check_readable(path)
    if not path.is_file():
        raise UserError(f"'{path}' is not there: wanted an .npz file")
    try:
        return read_arrays(path, MAX_BYTES, names)
    except OSError as error:
        raise cannot_read(path, error) from None
    except DAMAGE as error:
        raise UserError(f"'{path}' is not an .npz of plain numbers, is damaged or truncated ({short(error)})") from None


def as_pixels(array: np.ndarray, where: str, levels: int | None = None) -> tuple[NDArray[np.uint8 | np.float32], int]:
    """Return (images (N, C, H, W) as uint8 or float32, levels) of an array; `where` is its name in error messages.

    Args:
        levels: value of white; by default 1 for bools and floats, and 255 for bytes.

    Raises:
        UserError: the shape or type is not supported, or a value is NaN, negative or above that of white.
    """
    images = np.ascontiguousarray(_channels_first(array, where))
    if images.dtype == np.bool_:
        return images.astype(np.uint8), levels or 1
    if images.dtype == np.uint8:
        check_levels(images, levels or 255, where)
        return images, levels or 255
    if images.dtype.kind != "f" and not (levels and images.dtype.kind in "iu"):
        raise UserError(
            f"{where}: wanted bytes (uint8) or floats in [0, 1], got {images.dtype}; convert it before saving"
        )
    if not np.isfinite(images).all():
        raise UserError(f"{where}: wanted finite pixels in [0, 1], got NaN or infinity")
    if levels:
        check_levels(images, levels, where)
        return (images / levels).astype(np.float32), 1
    low, high = float(images.min()), float(images.max())
    if low < 0.0 or high > 1.0:
        raise UserError(f"{where}: wanted pixels in [0, 1], got {low:g} to {high:g}; divide by 255, or clip overshoot")
    return images.astype(np.float32), 1


def _note(images: np.ndarray, levels: int, name: str) -> str:
    """Return that the values are nearly those of black, in words, or that they hardly differ; else empty."""
    advice = SET_LEVELS if images.dtype == np.uint8 else ", so that they are nearly black; divide by less before saving"
    return sliver_note(images, levels, f"'{name}'", advice)


def _channels_first(array: np.ndarray, where: str) -> np.ndarray:
    """Return the array in the order (N, C, H, W)."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[3] in _CHANNELS and array.shape[1] not in _CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    low, high = SIDES
    if array.ndim != 4 or array.shape[1] not in _CHANNELS or not all(low <= n <= high for n in array.shape[2:]):
        raise UserError(
            f"{where}: wanted (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3 and sides of "
            f"{low} to {high} pixels, got {array.shape}"
        )
    if len(array) == 0:
        raise UserError(f"{where}: wanted images, got none")
    return array


def _labels(arrays: Arrays, name: str, count: int, path: Path) -> np.ndarray:
    """Return the checked labels called `name`; a single class if there are none."""
    if name not in arrays:
        return np.full(count, "images")
    labels = arrays[name]
    if labels.shape not in ((count,), (count, 1)):
        raise UserError(f"'{name}' in '{path}': wanted one label for each of {count} images, got shape {labels.shape}")
    if labels.dtype.kind not in "biuU":
        raise UserError(f"'{name}' in '{path}': wanted whole numbers or texts, got {labels.dtype}")
    return labels.ravel()


def _classes(labels: np.ndarray) -> tuple[tuple[str, ...], NDArray[np.int64], ShownClasses | None]:
    """Return (names of the classes, index of each image's class, the classes shown if they are texts)."""
    values, classes = np.unique(labels, return_inverse=True)
    names = tuple(str(value) for value in values)
    return names, classes.astype(np.int64), shown_classes(names) if labels.dtype.kind == "U" else None
