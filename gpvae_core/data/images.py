"""A folder or a zip of the user's own images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, PathSource, RawData, own_path
from gpvae_core.data.classes import shown_classes
from gpvae_core.data.damage import counted
from gpvae_core.data.decode import picture_size
from gpvae_core.data.levels import SCALE, SET_LEVELS, WHITE_16, check_levels, sliver_note, spans_of
from gpvae_core.data.split import PARTS, Split, stratified_test_split
from gpvae_core.data.tree import ImageFile, Pictures, decode_all, leading, open_tree
from gpvae_core.errors import UserError

LARGEST_OWN_SIZE = 64
DEFAULT_SIZE = 28


@DATASETS.register("images")
class ImageTree(PathSource):
    """Any folder or zip of images with one subfolder per class, optionally below train/ and test/ or validation/.

    These may also be the subfolders of each class.
    """

    resizable: ClassVar[bool] = True
    scalable: ClassVar[bool] = True
    are_pictures: ClassVar[bool] = True

    def read(self) -> RawData:
        path = own_path(self.argument)
        with open_tree(path) as tree:
            size = self.config.size or own_size(tree.pictures)
            decoded = decode_all(tree.pictures, 3, size, path.name, self.config.levels)
        levels = _levels_of(decoded, self.config.levels, path)
        pixels = grey_if_possible(decoded.pixels)
        folders = [picture.folders for picture in tree.pictures]
        parts, classes = partition(folders, path.stem)
        names, labels = np.unique(np.array(classes), return_inverse=True)
        everything = Split(pixels, labels.astype(np.int64), levels)
        raw = _raw(everything, parts, tuple(str(name) for name in names), self.config.split_seed, path)
        unlabelled = _unlabelled(parts, classes, path.stem)
        notes = (
            *_sliver_notes(decoded, self.config.levels, f"'{path.name}'"),
            decoded.crop_note(f"'{path.name}'"),
            decoded.frames_note(f"'{path.name}'"),
            partition_note(folders, parts),
            _unlabelled_note(classes, unlabelled),
            loose_note(folders, parts, path.stem, unlabelled),
            tree.left_out(),
        )
        return replace(raw, note="; ".join(filter(None, notes)), shown=shown_classes(raw.class_names, unlabelled))


def _levels_of(decoded: Pictures, told: int | None, path: Path) -> int:
    """Return the value of white in the pixels.

    Raises:
        UserError: a value is above that of white, or white was told of pictures that have not all the same depth.
    """
    sixteen = len(decoded.deep) - decoded.deep.count(None)
    if told and 0 < sixteen < len(decoded.deep):
        raise UserError(
            f"'{path}': wanted pictures of one depth where data.levels is set, got {len(decoded.deep) - sixteen} of "
            f"8 bits and {sixteen} of 16 bits: save all with 8 bits"
        )
    levels = 255 if sixteen else told or 255
    check_levels(decoded.pixels, levels, f"'{path}'")
    return levels


def _sliver_notes(decoded: Pictures, told: int | None, where: str) -> Iterator[str]:
    """Yield that values of 8 bits, or of 16 bits, use a sliver of their range, in words, each as the files have it."""
    sixteen = [span for span in decoded.deep if span]
    one_depth = len(sixteen) in (0, len(decoded.deep))
    advice = SET_LEVELS if one_depth and decoded.exact else SCALE
    if not sixteen:
        yield sliver_note(spans_of(decoded.pixels), told or 255, where, advice)
        return
    if not one_depth:
        eight = decoded.pixels[[span is None for span in decoded.deep]]
        yield sliver_note(spans_of(eight), 255, f"{where}, {len(eight)} pictures of 8 bits", advice)
        where = f"{where}, {len(sixteen)} of 16 bits"
    yield sliver_note(np.array(sixteen), told or WHITE_16, where, advice)


def own_size(pictures: Sequence[ImageFile]) -> int:
    """Return the common side of the images in pixels if they are square and small, else DEFAULT_SIZE."""
    first = picture_size(pictures[0].read(), pictures[0].where)
    if first[0] != first[1] or not 4 <= first[0] <= LARGEST_OWN_SIZE:
        return DEFAULT_SIZE
    same = all(picture_size(picture.read(), picture.where) == first for picture in pictures)
    return first[0] if same else DEFAULT_SIZE


def partition(folders: Sequence[tuple[str, ...]], whole: str) -> tuple[list[str] | None, list[str]]:
    """Return (split of each image or None, class of each image) from the folders that contain them.

    Leading folders shared by all images are dropped. If train/ and, beside it, test/ or validation/ are the next level,
    they give the split; so they do on a deeper level of which they are all, as in cat/train. The remaining levels,
    joined by "/" (alphabet/character), are the class.

    Args:
        whole: name of the class of images without such a folder.

    Raises:
        UserError: there are other folders beside those of a partition.
    """
    rest, first = _levels(folders)
    there = {PARTS[name] for name in first & set(PARTS)}
    if "train" not in there or len(there) == 1:
        return None, ["/".join(folder) or whole for folder in rest]
    if others := sorted(first - set(PARTS)):
        present = " and ".join(f"{name}/" for name in sorted(first & set(PARTS), reverse=True))
        raise UserError(
            f"'{whole}' has {present} and beside them '{others[0] or 'images in no folder'}': "
            "wanted only train/, test/ and perhaps validation/ on that level"
        )
    return [PARTS[folder[0].lower()] for folder in rest], ["/".join(folder[1:]) or whole for folder in rest]


def partition_note(folders: Sequence[tuple[str, ...]], parts: Sequence[str] | None) -> str:
    """Return what becomes of a partition that is not whole, in words; empty if there is a whole one, or none."""
    if parts is not None:
        return "" if "test" in parts else "there is no test/: a seeded 20 % of each class of train/ is the test set"
    rest, first = _levels(folders)
    if named := sorted(first & set(PARTS)):
        listed = " and ".join(f"'{name}'" for name in named)
        return f"{listed} {'is' if len(named) == 1 else 'are'} read as a class: a partition is train/ and test/ alone"
    below = {"/".join(folder[: i + 1]) for folder in rest for i, name in enumerate(folder) if name.lower() in PARTS}
    if below:
        listed = counted(sorted(below), "folder")
        return f"read as classes: {listed}; a partition is train/ and test/ in every class, or above all"
    return ""


def _levels(folders: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], set[str]]:
    """Return (folders below those that all images share, names in lower case of the first of them; "" for none).

    The level of a partition, on which all folders are parts of it, becomes the first.
    """
    shared = _shared_depth(folders)
    rest = [folder[shared:] for folder in folders]
    for depth in range(min(map(len, rest))):
        parts = {PARTS.get(folder[depth].lower()) for folder in rest}
        if None not in parts and "train" in parts and len(parts) > 1:
            rest = [(folder[depth], *folder[:depth], *folder[depth + 1 :]) for folder in rest]
            break
    return rest, {folder[0].lower() if folder else "" for folder in rest}


def _unlabelled(parts: Sequence[str] | None, classes: Sequence[str], whole: str) -> set[str]:
    """Return {whole} if training images have classes, but the images of another part lie in no class's folder."""
    if parts is None or whole not in classes:
        return set()
    return {whole} - {name for part, name in zip(parts, classes, strict=True) if part == "train"}


def _unlabelled_note(classes: Sequence[str], unlabelled: set[str]) -> str:
    count = sum(name in unlabelled for name in classes)
    return f"{count} images of test/ or validation/ lie in no class's folder and have no label" if count else ""


def loose_note(
    folders: Sequence[tuple[str, ...]], parts: Sequence[str] | None, whole: str, unlabelled: Collection[str] = ()
) -> str:
    """Return how many labelled images lie beside the folders of other classes, in words; empty if none does."""
    within = [folder if parts is None else folder[1:] for folder in _levels(folders)[0]]
    above = leading(within)
    loose = [name for folder in within if folder in above and (name := "/".join(folder) or whole) not in unlabelled]
    if not loose:
        return ""
    lie = f"{len(loose)} image{' lies' if len(loose) == 1 else 's lie'}"
    listed = counted(sorted(set(loose)), "folder")
    return f"{lie} beside the folders of other classes: what is directly in {listed} is read as a class of that name"


def _shared_depth(folders: Sequence[tuple[str, ...]]) -> int:
    """Return the number of leading folders that all images share, without the innermost one of a single class."""
    # The common prefix of all folders is that of the lexicographically smallest and largest.
    low, high = min(folders), max(folders)
    depth = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return max(depth - 1, 0) if low == high else depth


def grey_if_possible(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one channel if all images are grey, else all three."""
    grey = all(np.array_equal(pixels[:, 0], pixels[:, channel]) for channel in (1, 2))
    return np.ascontiguousarray(pixels[:, :1]) if grey else pixels


def _raw(everything: Split, parts: list[str] | None, names: tuple[str, ...], seed: int, path: Path) -> RawData:
    if parts is None:
        return RawData(*stratified_test_split(everything, seed, f"'{path}'"), names)
    part_of = np.array(parts)
    train, test, validation = (
        everything.take(np.flatnonzero(part_of == part)) for part in ("train", "test", "validation")
    )
    if not len(test):
        train, test = stratified_test_split(train, seed, f"'{path}'")
    return RawData(train, test, names, validation if len(validation) else None)
