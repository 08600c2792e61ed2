"""OMNIGLOT: the published zips of drawings, with one folder per character (Lake, Salakhutdinov, Tenenbaum 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.downloads import unpublished_note
from gpvae_core.data.files import find_file, missing
from gpvae_core.data.split import Split, stratified_test_split
from gpvae_core.data.tree import ImageFile, decode_all, open_tree
from gpvae_core.types import EventShape

PUBLISHED = ("images_background.zip", "images_evaluation.zip")
STAND_IN = ("images_background_small1.zip", "images_background_small2.zip")
SIZE = 28
SUBSET = "subset (small1+small2)"
NOTE = (
    "a subset, the two small background zips, not the published 19,280 + 13,180 images: likelihoods are not comparable "
    "with published ones; 'gpvae data fetch omniglot' gets all"
)


@DATASETS.register("omniglot")
class Omniglot(Source):
    """OMNIGLOT, handwritten characters, white on black, resized to 28x28: 19,280 background + 13,180 evaluation images.

    If only the two small background zips are present, the data are their union (Greek and Latin are in both) with a
    seeded 20 % of each character as the test set; likelihoods are then not comparable with published ones.
    """

    shape: EventShape | None = (1, SIZE, SIZE)
    resizable: ClassVar[bool] = True

    @classmethod
    def present(cls) -> bool | str | None:
        if _paths(PUBLISHED) is not None:
            return True
        return _paths(STAND_IN) is not None and SUBSET

    def read(self) -> RawData:
        if published := _paths(PUBLISHED):
            return self._published(*published)
        if stand_in := _paths(STAND_IN):
            return self._union(stand_in)
        raise missing("omniglot", PUBLISHED)

    def _published(self, background: Path, evaluation: Path) -> RawData:
        train, train_names = self._read(background)
        test, test_names = self._read(evaluation)
        names, labels = _labels(train_names + test_names)
        count = len(train)
        splits = (Split(train, labels[:count], 255), Split(test, labels[count:], 255))
        return RawData(*splits, names, note=unpublished_note("omniglot", (background, evaluation)))

    def _union(self, paths: list[Path]) -> RawData:
        known: set[tuple[str, str]] = set()
        parts = [self._read(path, known) for path in paths]
        names, labels = _labels([name for _, part_names in parts for name in part_names])
        everything = Split(np.concatenate([pixels for pixels, _ in parts]), labels, levels=255)
        where = "'omniglot' (its two small zips)"
        note = "; ".join(filter(None, (NOTE, unpublished_note("omniglot", paths))))
        return RawData(*stratified_test_split(everything, self.config.split_seed, where), names, note=note)

    def _read(self, path: Path, known: set[tuple[str, str]] | None = None) -> tuple[NDArray[np.uint8], list[str]]:
        """Return (inverted pixels, character of each) of a zip's drawings that are not in `known`; add them to it."""
        with open_tree(path) as tree:
            new = [picture for picture in tree.pictures if known is None or _key(picture) not in known]
            if known is not None:
                known.update(map(_key, new))
            # The files have black ink on white.
            pixels = 255 - decode_all(new, 1, self.config.size or SIZE, path.name).pixels
        return pixels, [_character(picture) for picture in new]


def _paths(files: tuple[str, ...]) -> list[Path] | None:
    """Return the paths of the files; None if one is missing."""
    paths = [path for path in (find_file("omniglot", (file,)) for file in files) if path is not None]
    return paths if len(paths) == len(files) else None


def _character(picture: ImageFile) -> str:
    """Return the character's name, such as 'Greek/character01'."""
    return "/".join(picture.folders[-2:])


def _key(picture: ImageFile) -> tuple[str, str]:
    return _character(picture), picture.name


def _labels(characters: list[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    names, labels = np.unique(np.array(characters), return_inverse=True)
    return tuple(str(name) for name in names), labels.astype(np.int64)
