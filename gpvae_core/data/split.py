"""Splits of images, as they are stored, and how data are divided into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.errors import UserError
from gpvae_core.hashes import hexdigest

MIN_IMAGES = 3
"""Smallest number of images without a published partition: one each for training, validation and test."""

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
PARTS |= dict.fromkeys(("validation", "val", "valid"), "validation")
"""The part of a partition that a folder or an array of one's own is, by its name."""

Indices: TypeAlias = slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) as stored: integers from 0 to `levels` (uint8), or float32 with levels = 1.

    Pixels are in [0, 1], apart from those of a source with another `pixel_range`.

    >>> import numpy as np
    >>> import gpvae_core as gpvae
    >>> split = gpvae.Split(np.full((3, 1, 2, 2), 8, dtype=np.uint8), np.array([0, 1, 1]), levels=16)
    >>> len(split), float(split.pixels([0]).mean())
    (3, 0.5)
    """

    images: NDArray[np.uint8 | np.float32]
    labels: NDArray[np.int64]
    """(N,) index of each image's class; -1 for an image without a label."""
    levels: int
    """Stored value of a pixel of 1."""
    auxiliary: Auxiliary | None = None
    """What is known of each image beside its pixels; None if nothing is."""
    observed: NDArray[np.bool_] | None = None
    """(N, H, W) whether each pixel was observed; None if all were. A missing pixel is stored as 0, and of a missing
    frame all pixels are missing."""

    def __post_init__(self) -> None:
        count, _, height, width = self.images.shape
        if self.auxiliary is not None and len(self.auxiliary) != count:
            raise UserError(f"wanted auxiliary data of each of {count} images, got {len(self.auxiliary)} rows")
        if self.observed is not None and self.observed.shape != (count, height, width):
            raise UserError(
                f"wanted a mask of observed pixels of shape {(count, height, width)}, got {self.observed.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, indices: Indices | None = None) -> Tensor:
        """Return float32 pixels, (N, C, H, W), of all images or of those at `indices`."""
        stored = self.images if indices is None else self.images[indices]
        return torch.from_numpy(np.ascontiguousarray(stored)).to(torch.float32) / self.levels

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Return the split of the images at these indices."""
        return replace(
            self,
            images=np.ascontiguousarray(self.images[indices]),
            labels=self.labels[indices],
            auxiliary=None if self.auxiliary is None else self.auxiliary.take(indices),
            observed=None if self.observed is None else self.observed[indices],
        )


def joined(parts: Sequence[Split]) -> Split:
    """Return the images of several splits of one data set, one after the other."""
    first, auxiliary, observed = parts[0], None, None
    if first.auxiliary is not None:
        rows = [part.auxiliary for part in parts if part.auxiliary is not None]
        values = {name: np.concatenate([row[name] for row in rows]) for name in first.auxiliary.values}
        auxiliary = Auxiliary(first.auxiliary.columns, values)
    if any(part.observed is not None for part in parts):
        shape = first.images.shape[2:]
        masks = [np.ones((len(p), *shape), np.bool_) if p.observed is None else p.observed for p in parts]
        observed = np.concatenate(masks)
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    return Split(images, labels, first.levels, auxiliary, observed)


def hold_out(train: Split, fraction: float, seed: int, name: str) -> tuple[Split, Split]:
    """Return the images without a seeded `fraction` of them, and that fraction, at least one image; order is kept.

    Args:
        name: name of the data in error messages.

    Raises:
        UserError: there are fewer than two images.
    """
    if len(train) < 2:
        raise UserError(f"'{name}': wanted at least 2 training images, one of them for validation, got {len(train)}")
    count = min(_share(len(train), fraction), len(train) - 1)
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(np.sort(order[count:])), train.take(np.sort(order[:count]))


def stratified_test_split(images: Split, seed: int, where: str, fraction: float = 0.2) -> tuple[Split, Split]:
    """Return (train, test) with a seeded `fraction` of each class in the test split, for unpartitioned data.

    Args:
        where: name of the data in error messages.

    Raises:
        UserError: there are fewer than MIN_IMAGES images.
    """
    if len(images) < MIN_IMAGES:
        raise UserError(
            f"{where}: wanted at least {MIN_IMAGES} images, one each for training, validation and test, "
            f"got {len(images)}"
        )
    generator = np.random.default_rng(seed)
    per_class = [
        generator.permutation(members)[: round(len(members) * fraction)]
        for members in (np.flatnonzero(images.labels == label) for label in np.unique(images.labels))
    ]
    test = np.sort(np.concatenate(per_class))
    if len(test) == 0:  # every class is so small that its share rounds to 0: draw from all images together
        test = np.sort(generator.permutation(len(images))[: _share(len(images), fraction)])
    train = np.setdiff1d(np.arange(len(images)), test)
    return images.take(train), images.take(test)


def _share(count: int, fraction: float) -> int:
    """Return the number of held-out images of `count`, at least 1."""
    return max(1, round(count * fraction))


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of shapes, pixels and labels of the splits, and of auxiliary data and masks if there are any.

    Units and names of categories do not enter, as names of classes do not.
    """

    def parts(split: Split) -> Iterator[str | memoryview]:
        yield f"{split.images.dtype} {split.images.shape} {split.levels}"
        yield np.ascontiguousarray(split.images).data
        yield np.ascontiguousarray(split.labels).data
        if split.auxiliary is not None:
            for column in split.auxiliary.columns:
                yield f"{column.name} {column.role} {column.period} {column.size}"
                yield np.ascontiguousarray(split.auxiliary[column.name]).data
        if split.observed is not None:
            yield "observed"
            yield np.ascontiguousarray(split.observed).data

    return hexdigest(chain.from_iterable(map(parts, splits)))
