"""Images of the user's own in a NumPy archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, PathSource, RawData, own_path
from gpvae_core.data.classes import ShownClasses, shown_classes
from gpvae_core.data.damage import counted, npz_in_one_line
from gpvae_core.data.levels import LESS, SET_LEVELS, check_levels, sliver_note, spans_of, to_unit_range
from gpvae_core.data.split import PARTS, Split, stratified_test_split
from gpvae_core.errors import UserError
from gpvae_core.reading import array_names, read_arrays

MAX_BYTES = 8_000_000_000
SIDES = (4, 256)
_CHANNELS = (1, 3)
_WHOLE = {"images": ("images", "x"), "labels": ("labels", "y")}

Arrays = Mapping[str, np.ndarray]


@DATASETS.register("array")
class ArrayFile(PathSource):
    """An .npz with images (or train_images and test_images) as bytes or floats in [0, 1], optionally labels; no pickle.

    With `levels`, values from 0 to `levels` of any type of numbers.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W). Without a partition, a seeded 20 % of each class is the test
    set. A partition is train_images with test_images, validation_images or both, and their labels; the names of the
    parts are those of folders of images (PARTS).
    """

    scalable: ClassVar[bool] = True

    def read(self) -> RawData:
        path = own_path(self.argument)
        with npz_in_one_line(path):
            there = array_names(path)
        parts = _parts(there, path)
        used = [name for pair in parts.values() for name in pair if name]
        with npz_in_one_line(path):
            arrays = read_arrays(path, MAX_BYTES, used)
        splits, names, shown = self._splits(arrays, parts, path)
        notes = _sliver_notes([arrays[images] for images, _ in parts.values()], self.config.levels, parts)
        train, test = splits["train"], splits.get("test")
        if test is None:
            train, test = stratified_test_split(train, self.config.split_seed, f"'{path}'")
        notes += [_no_test(parts), _left_out(there, used)]
        return RawData(train, test, names, splits.get("validation"), "; ".join(filter(None, notes)), shown=shown)

    def _splits(
        self, arrays: Arrays, parts: Mapping[str, tuple[str, str]], path: Path
    ) -> tuple[dict[str, Split], tuple[str, ...], ShownClasses | None]:
        """Return (each part's images and classes as read, names of the classes, the classes shown if texts)."""
        stored = {
            part: as_pixels(arrays[images], f"'{images}' in '{path}'", self.config.levels)
            for part, (images, _) in parts.items()
        }
        train, levels = stored["train"]
        for part, (images, own) in stored.items():
            if images.shape[1:] != train.shape[1:] or own != levels:
                raise UserError(
                    f"'{path}': wanted training and {part} images of one shape and type, "
                    f"got {train.dtype} {train.shape[1:]} and {images.dtype} {images.shape[1:]}"
                )
        if len({bool(labels) for _, labels in parts.values()}) == 2:
            every = " and ".join(f"'{images}'" for images, _ in parts.values())
            raise UserError(f"'{path}': wanted labels of {every}, or of none")
        counts = [len(images) for images, _ in stored.values()]
        labels = [_labels(arrays, name, n, path) for (_, name), n in zip(parts.values(), counts, strict=True)]
        names, classes, shown = _classes(np.concatenate(labels))
        by_part = np.split(classes, np.cumsum(counts)[:-1])
        splits = (Split(images, y, levels) for (images, _), y in zip(stored.values(), by_part, strict=True))
        return dict(zip(parts, splits, strict=True)), names, shown


def _parts(there: Collection[str], path: Path) -> dict[str, tuple[str, str]]:
    """Return (name of the images, that of the labels or "") of each part; of train alone without a partition.

    Raises:
        UserError: there are neither images nor those of a partition.
    """

    def pair(part: str) -> tuple[str, str]:
        images, labels = (
            next((f"{name}_{what}" for name in PARTS if PARTS[name] == part and f"{name}_{what}" in there), "")
            for what in _WHOLE
        )
        return images, labels

    parts = {part: found for part in ("train", "test", "validation") if (found := pair(part))[0]}
    if "train" in parts and len(parts) > 1:
        return parts
    images, labels = (next((name for name in names if name in there), "") for names in _WHOLE.values())
    if images:
        return {"train": (images, labels)}
    held = f"it holds {counted(there, 'array')}" if there else "it holds none"
    raise UserError(f"'{path}': wanted an array 'images' (or 'x'), or 'train_images' and 'test_images'; {held}")


def _no_test(parts: Mapping[str, tuple[str, str]]) -> str:
    """Return where the test images of a partition without them come from, in words; empty if it has them, or none."""
    if "validation" not in parts or "test" in parts:
        return ""
    return f"there is no 'test_images': a seeded 20 % of each class of '{parts['train'][0]}' is the test set"


def _left_out(there: Collection[str], used: Collection[str]) -> str:
    """Return which arrays are not read, in words; empty if all are."""
    others = [name for name in there if name not in used]
    return f"left out: {counted(others, 'array')} beside {' and '.join(map(repr, used))}" if others else ""


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
        raise UserError(f"{where}: wanted pixels in [0, 1], got {low:g} to {high:g}; {to_unit_range(low, high)}")
    return images.astype(np.float32), 1


def _sliver_notes(stored: Sequence[np.ndarray], told: int | None, parts: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return for each part that values use a sliver of their range, in words, as the file has them; else empty."""
    advice = SET_LEVELS if told or stored[0].dtype.kind != "f" else LESS
    levels = told or (255 if stored[0].dtype == np.uint8 else 1)
    spans = [spans_of(images) for images in stored]
    highest = max(float(part.max()) for part in spans)
    names = (f"'{images}'" for images, _ in parts.values())
    return [sliver_note(part, levels, name, advice, highest) for part, name in zip(spans, names, strict=True)]


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
