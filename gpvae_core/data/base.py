"""Data sets: three splits of images kept as they are stored, and a fingerprint."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gpvae_core.data.damage import short
from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.errors import UserError
from gpvae_core.hashes import hexdigest
from gpvae_core.registry import Registry
from gpvae_core.types import EventShape


class DataConfig(BaseModel):
    """The choice of images, and their split.

    >>> from gpvae_core.data.base import DataConfig
    >>> DataConfig(name="digits").split_seed
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    size: int | None = Field(
        default=None,
        ge=4,
        le=256,
        description="pixels a side, where images are resized (default: 28 or, for images:PATH, their own)",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=0.9,
        description="share of the training images held out for validation, where the data name no validation images",
    )
    split_seed: int = Field(
        default=0, ge=0, description="seed of the validation split (and of the test split where none is published)"
    )


Indices: TypeAlias = slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Images as stored, (N, C, H, W): whole numbers from 0 to `levels` (uint8), or float32 in [0, 1] with levels 1.

    >>> import numpy as np
    >>> from gpvae_core.data.base import Split
    >>> split = Split(np.full((3, 1, 2, 2), 8, dtype=np.uint8), np.array([0, 1, 1]), levels=16)
    >>> len(split), float(split.pixels([0]).mean())
    (3, 0.5)
    """

    images: NDArray[np.uint8 | np.float32]
    labels: NDArray[np.int64]
    """Number of each image's class; -1 for an image without a label."""
    levels: int

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, indices: Indices | None = None) -> Tensor:
        """float32 pixels in [0, 1] of all images or of `indices`."""
        chosen = self.images if indices is None else self.images[indices]
        return torch.from_numpy(np.ascontiguousarray(chosen)).to(torch.float32) / self.levels

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Return the sub-split of these indices."""
        return Split(np.ascontiguousarray(self.images[indices]), self.labels[indices], self.levels)


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test images of one shape.

    >>> from gpvae_core.data.base import DataConfig, load
    >>> data = load(DataConfig(name="digits"))
    >>> data.event_shape
    (1, 8, 8)
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    event_shape: EventShape
    fingerprint: str
    """SHA-256 over pixels, labels and membership of every split."""
    note: str = ""
    """A remark for readers of results, as that the images are a subset; else empty."""
    truth: KnownTruth | None = None
    """The model that the data were drawn from, where it is known."""


@dataclass(frozen=True)
class RawData:
    """The published partition as a source reads it, before the validation split."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    """Where the partition names one (CelebA); None to hold out a share of the training images."""
    note: str = ""
    """As in `Dataset`."""
    truth: KnownTruth | None = None
    """As in `Dataset`."""


class Source(ABC):
    """The origin of a data set. The docstring's first line is its summary."""

    shape: EventShape | None = None
    """Shape of one image, where it is known before reading."""
    takes_path: ClassVar[bool] = False
    """Whether the name goes on with a path, as in images:PATH."""
    resizable: ClassVar[bool] = False
    """Whether `DataConfig.size` applies."""
    is_images: ClassVar[bool] = True
    """Whether the values are pixels in [0, 1]; points of a synthetic set may be anywhere."""
    wants: ClassVar[Mapping[str, Any]] = {}
    """Settings (dotted keys) that a run on these data has by default, such as the noise that made them."""
    by_hand: ClassVar[str | None] = None
    """Where to get the files and where to put them, if they cannot be fetched freely."""

    def __init__(self, config: DataConfig, argument: str) -> None:
        self.config, self.argument = config, argument

    @classmethod
    @abstractmethod
    def present(cls) -> bool | str | None:
        """Return True where the files are there to be read; a subset in words; None where that depends on the path."""

    @abstractmethod
    def read(self) -> RawData:
        """Read everything. Raises UserError on missing, truncated or damaged files."""


class PathSource(Source):
    """A data set whose name goes on with a path, as in images:PATH."""

    takes_path: ClassVar[bool] = True

    @classmethod
    def present(cls) -> None:
        """Return None: whether the files are there depends on the path."""


MIN_IMAGES = 3
"""Images that data without a published partition must have: one each for training, validation and test."""

DATASETS: Registry[type[Source]] = Registry("dataset", "gpvae_core.data")


def parse_name(name: str) -> tuple[str, str]:
    """Split 'images:PATH' into ('images', 'PATH'), and 'mnist' into ('mnist', '')."""
    head, colon, argument = name.partition(":")
    if colon and not argument:
        raise UserError(f"wanted a path behind '{head}:', got '{name}'")
    return head, argument


def own_path(text: str) -> Path:
    """Return the path that a user typed, with ~ for the home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~ of a user who is not there
        raise UserError(f"wanted a path, got '{text}' ({short(error)})") from None


def absolute_name(name: str) -> str:
    """Return the name to keep in a config: a path in it made absolute, so that it means the same from any folder.

    Raises:
        UserError: unknown data set.
    """
    head, argument = parse_name(name)
    return f"{head}:{os.path.realpath(own_path(argument))}" if argument and DATASETS.get(head).takes_path else name


def short_name(name: str) -> str:
    """Return a name that fits a folder's: 'images-pets' of 'images:/a/path/pets.zip', 'mnist' of 'mnist'."""
    head, _, path = name.partition(":")
    return f"{head}-{Path(path).stem}" if path else head


def source_of(config: DataConfig) -> Source:
    """The source that `config` names. Raises UserError on an unknown name, a path or a size where none belongs."""
    head, argument = parse_name(config.name)
    source = DATASETS.get(head)
    if source.takes_path and not argument:
        raise UserError(f"wanted '{head}:PATH', got '{head}' without a path")
    if argument and not source.takes_path:
        raise UserError(f"data set '{head}' takes no path, got '{config.name}'; did you mean 'images:{argument}'?")
    if config.size is not None and not source.resizable:
        raise UserError(f"data set '{head}' has a fixed size: leave out size={config.size}")
    return source(config, argument)


def load(config: DataConfig) -> Dataset:
    """Return the data set of `config`.

    Raises:
        UserError: unknown name (with the nearest right one), missing, truncated or damaged files, parts that are empty
            or do not fit together.
    """
    raw = source_of(config).read()
    train, validation = (raw.train, raw.validation) if raw.validation is not None else _hold_out(raw.train, config)
    _check(config.name, {"training": train, "validation": validation, "test": raw.test}, len(raw.class_names))
    return Dataset(
        name=config.name,
        train=train,
        validation=validation,
        test=raw.test,
        class_names=raw.class_names,
        event_shape=tuple(int(n) for n in train.images.shape[1:]),  # pyright: ignore[reportArgumentType]
        fingerprint=_fingerprint(train, validation, raw.test),
        note=raw.note,
        truth=raw.truth,
    )


def _check(name: str, parts: Mapping[str, Split], classes: int) -> None:
    """Whatever the source: no part is empty, all images have one shape, each label is that of a class or -1."""
    shape = parts["training"].images.shape[1:]
    for part, split in parts.items():
        if len(split) == 0:
            raise UserError(f"'{name}': wanted {part} images, got none; is a file empty or a folder without images?")
        if split.images.shape[1:] != shape:
            raise UserError(
                f"'{name}': wanted {part} images of shape {shape} as in training, got {split.images.shape[1:]}; "
                "were files of two sets mixed?"
            )
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < -1 or high >= classes:
            raise UserError(
                f"'{name}': wanted {part} labels from 0 to {classes - 1} (-1 for none), got {low} to {high}; "
                "do the labels belong to these images?"
            )


def _hold_out(train: Split, config: DataConfig) -> tuple[Split, Split]:
    """Return a seeded share of the training images, at least one, for validation; what is left keeps its order."""
    if len(train) < 2:
        raise UserError(
            f"'{config.name}': wanted at least 2 training images, one of them for validation, got {len(train)}"
        )
    count = min(_share(len(train), config.validation_fraction), len(train) - 1)
    order = np.random.default_rng(config.split_seed).permutation(len(train))
    return train.take(np.sort(order[count:])), train.take(np.sort(order[:count]))


def stratified_test_split(images: Split, seed: int, where: str, fraction: float = 0.2) -> tuple[Split, Split]:
    """(train, test): a seeded `fraction` of each class, for data without a published partition.

    Raises:
        UserError: fewer images than training, validation and test need; `where` is how it calls the data.
    """
    if len(images) < MIN_IMAGES:
        raise UserError(
            f"{where}: wanted at least {MIN_IMAGES} images, one each for training, validation and test, "
            f"got {len(images)}"
        )
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(members)[: round(len(members) * fraction)]
        for members in (np.flatnonzero(images.labels == label) for label in np.unique(images.labels))
    ]
    test = np.sort(np.concatenate(chosen))
    if len(test) == 0:  # classes so small that no share of one is an image: a share of all of them
        test = np.sort(generator.permutation(len(images))[: _share(len(images), fraction)])
    train = np.setdiff1d(np.arange(len(images)), test)
    return images.take(train), images.take(test)


def _share(count: int, fraction: float) -> int:
    """Return how many of `count` images are held out: one at least."""
    return max(1, round(count * fraction))


def _fingerprint(*splits: Split) -> str:
    def parts(split: Split) -> Iterator[str | memoryview]:
        yield f"{split.images.dtype} {split.images.shape} {split.levels}"
        yield np.ascontiguousarray(split.images).data
        yield np.ascontiguousarray(split.labels).data

    return hexdigest(chain.from_iterable(map(parts, splits)))
