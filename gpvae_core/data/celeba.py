"""CelebA: aligned faces, a folder or zip of JPEG files (Liu et al. 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.files import ENVIRONMENT, find_file, find_folder
from gpvae_core.data.split import Split
from gpvae_core.data.tree import decode_all, open_tree
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape

FOLDER = "img_align_celeba"
SIZE = 64
SHARES = (0.8, 0.1)
"""Shares of training and validation images; the others are the test set."""
FEWEST = 8
"""Smallest number of images with which no split is empty."""
_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@DATASETS.register("celeba")
class CelebA(Source):
    """CelebA, aligned faces in colour, centre-cropped and resized to 64x64; seeded splits of 80, 10 and 10 %."""

    shape: EventShape | None = (3, SIZE, SIZE)
    resizable: ClassVar[bool] = True
    by_hand: ClassVar[str | None] = (
        f"get {FOLDER}.zip (for non-commercial research) from {_PAGE} and put it, or the folder that is in it, "
        f"into a folder 'celeba' in the one that {ENVIRONMENT} names"
    )

    @classmethod
    def present(cls) -> bool | None:
        return _location() is not None

    def read(self) -> RawData:
        location = _location()
        if location is None:
            raise UserError(f"the images of 'celeba' are not there: {self.by_hand}")
        size = self.config.size or SIZE
        with open_tree(location) as tree:
            pictures = tree.pictures
            if len(pictures) < FEWEST:
                raise UserError(f"'{location}': wanted at least {FEWEST} faces for three parts, got {len(pictures)}")
            order = np.random.default_rng(self.config.split_seed).permutation(len(pictures))
            cuts = [round(len(order) * share) for share in np.cumsum(SHARES)]
            # Decode each split separately: decoding all images and then copying them would take twice the memory.
            train, validation, test = (
                _faces(decode_all([pictures[i] for i in np.sort(part)], 3, size, f"celeba {name}").pixels)
                for name, part in zip(("training", "validation", "test"), np.split(order, cuts), strict=True)
            )
        return RawData(train, test, ("face",), validation)


def _location() -> Path | None:
    """Return the folder or the zip of faces; None if neither is present."""
    return find_folder("celeba", FOLDER) or find_file("celeba", (f"{FOLDER}.zip",))


def _faces(pixels: np.ndarray) -> Split:
    return Split(pixels, np.zeros(len(pixels), np.int64), levels=255)
