"""Data sets: their configuration, splits and sources, and the registry of all sources."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from gpvae_core.data.auxiliary import Column, Role
from gpvae_core.data.classes import ShownClasses
from gpvae_core.data.damage import short
from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.data.levels import MOST_LEVELS
from gpvae_core.data.split import Split, fingerprint, hold_out
from gpvae_core.errors import UserError
from gpvae_core.registry import Registry
from gpvae_core.types import UNIT_RANGE, EventShape


class DataConfig(BaseModel):
    """Settings of a data set and its splits.

    >>> import gpvae_core as gpvae
    >>> gpvae.DataConfig(name="digits").split_seed
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    size: int | None = Field(
        default=None,
        ge=4,
        le=256,
        description="pixels per side of resized images (default: 28; for images:PATH their own size where all are "
        "squares of one size from 4 to 64)",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=0.9,
        description="share of the training images held out for validation, if no validation split is published",
    )
    split_seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="seed of the validation split (and of the test split if none is published)",
    )
    levels: int | None = Field(
        default=None,
        ge=1,
        le=MOST_LEVELS,
        description="stored value of white in data of your own (default: 255 for pictures and bytes, 65535 for "
        "pictures of 16 bits, 1 for floats)",
    )

    @model_serializer(mode="wrap")
    def _as_before_levels(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `levels` out unless it is set, so that the JSON of a run without it stays from version to version."""
        return {key: value for key, value in dump(self).items() if key != "levels" or value is not None}


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test images of one shape.

    >>> import gpvae_core as gpvae
    >>> gpvae.load_dataset("digits").event_shape
    (1, 8, 8)
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    event_shape: EventShape
    fingerprint: str
    """SHA-256 of the pixels and labels of all three splits, and of auxiliary data and masks where there are any."""
    note: str = ""
    """A remark for readers of results, such as that the images are a subset or that files were left out; else empty."""
    truth: KnownTruth | None = None
    """The model from which the data were drawn, if it is known."""
    doubtful: tuple[str, ...] = ()
    """Names of the columns of few whole numbers, or of texts such as dates, that were guessed to be categories."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The auxiliary columns, which are those of every split; empty if there are none."""
        return _columns(self.train)


def _columns(split: Split) -> tuple[Column, ...]:
    return () if split.auxiliary is None else split.auxiliary.columns


@dataclass(frozen=True)
class RawData:
    """The data as a source reads them, before the validation split."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    """The validation split if one is defined (CelebA); None to hold out a share of the training images."""
    note: str = ""
    """See `Dataset.note`."""
    truth: KnownTruth | None = None
    """See `Dataset.truth`."""
    shown: ShownClasses | None = None
    """The classes that people see, if they are not those of `class_names`, by which the fingerprint is computed."""
    doubtful: tuple[str, ...] = ()
    """See `Dataset.doubtful`."""


class Source(ABC):
    """Base class of the sources of data sets. The first line of a subclass's docstring is its summary."""

    shape: EventShape | None = None
    """Shape of one image, if it is known before reading."""
    takes_path: ClassVar[bool] = False
    """Whether the name continues with a path, as in images:PATH."""
    takes: ClassVar[str] = ""
    """What the name continues with behind a colon, such as PATH or DIGITS; empty for nothing."""
    resizable: ClassVar[bool] = False
    """Whether `DataConfig.size` applies."""
    scalable: ClassVar[bool] = False
    """Whether `DataConfig.levels` applies."""
    are_pictures: ClassVar[bool] = False
    """Whether the images are picture files of the user's own, so that `DataConfig.levels` applies to others as well."""
    is_images: ClassVar[bool] = True
    """Whether the values are pixels, to be shown as images; synthetic points are not."""
    pixel_range: ClassVar[tuple[float, float] | None] = UNIT_RANGE
    """Bounds of the values, also of those that users give to a run; None for values without bounds."""
    columns: ClassVar[Mapping[str, Role]] = {}
    """Role of each auxiliary column, by its name, where it is known before reading."""
    wants: ClassVar[Mapping[str, Any]] = {}
    """Default settings (by dotted key) of a run on these data, such as the noise of a synthetic set."""
    process: ClassVar[Mapping[str, Any]] = {}
    """Default settings of a GP prior over these data: the kernel of its columns, and the column of groups."""
    by_hand: ClassVar[str | None] = None
    """Instructions to obtain the files, if they cannot be downloaded freely."""

    def __init__(self, config: DataConfig, argument: str) -> None:
        self.config, self.argument = config, argument

    @classmethod
    @abstractmethod
    def present(cls) -> bool | str | None:
        """Return whether the files are present; a text describes a subset, and None means that a path decides."""

    @abstractmethod
    def read(self) -> RawData:
        """Read all images. Raises UserError if files are missing, truncated or damaged."""


class PathSource(Source):
    """Base class of sources whose name continues with a path, as in images:PATH."""

    takes_path: ClassVar[bool] = True
    takes: ClassVar[str] = "PATH"

    @classmethod
    def present(cls) -> None:
        """Return None: whether the files are present depends on the path."""


DATASETS: Registry[type[Source]] = Registry("dataset", "gpvae_core.data")


def parse_name(name: str) -> tuple[str, str]:
    """Split 'images:PATH' into ('images', 'PATH'), and 'mnist' into ('mnist', '').

    Raises:
        UserError: there is nothing behind a colon, or a null character.
    """
    head, colon, argument = name.partition(":")
    if "\0" in name:
        what = "a path" if colon else "the name of a data set"
        raise UserError(f"wanted {what}, got {short(repr(argument or name))}, which has a null character")
    if colon and not argument:
        raise UserError(f"wanted a path or another argument behind '{head}:', got '{name}'")
    return head, argument


def own_path(text: str) -> Path:
    """Return the path that a user typed, with ~ replaced by the home folder. Raises UserError if that fails."""
    if "\0" in text:
        raise UserError(f"wanted a path, got {short(repr(text))}, which has a null character")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # the home folder of an unknown user
        raise UserError(f"wanted a path, got '{text}' ({short(error)})") from None


def absolute_name(name: str) -> str:
    """Return the name with its path, if it has one, made absolute, so that a config is valid from any folder.

    Raises:
        UserError: the data set is unknown.
    """
    head, argument = parse_name(name)
    return f"{head}:{os.path.realpath(own_path(argument))}" if argument and _registered(head, name).takes_path else name


def source_name(name: str) -> str:
    """Return what data sets of one source share: 'moving-ball:350' -> 'moving-ball'; with a path, the whole name."""
    head, _ = parse_name(name)
    return name if _registered(head, name).takes_path else head


def _registered(head: str, name: str) -> type[Source]:
    """Return the source called `head`. Raises UserError, for a path alone with the name that reads it."""
    if head not in DATASETS.summaries() and ("/" in head or os.path.exists(name)):
        raise UserError(f"unknown dataset '{name}'; for data of your own write {_kind_of(name)}")
    return DATASETS.get(head)


def _kind_of(path: str) -> str:
    """Return, by its ending, how data of a user's own are named."""
    kinds = {".npz": ("array", "table"), ".csv": ("table",), ".parquet": ("table",)}.get(Path(path).suffix, ("images",))
    return " or, with columns, ".join(f"'{kind}:{path}'" for kind in kinds)


def short_name(name: str) -> str:
    """Return a name for folders: 'images:/a/path/pets.zip' -> 'images-pets', and 'rotated-mnist:0,1' -> with '-0,1'."""
    head, _, argument = name.partition(":")
    if not argument:
        return head
    return f"{head}-{Path(argument).stem if DATASETS.get(head).takes_path else argument}"


def source_of(config: DataConfig) -> Source:
    """Return the source of a config. Raises UserError if the name is unknown, or a path or size does not apply."""
    head, argument = parse_name(config.name)
    source = _registered(head, config.name)
    if source.takes_path and not argument:
        raise UserError(f"wanted '{head}:PATH', got '{head}' without a path")
    if argument and not source.takes:
        raise UserError(f"data set '{head}' takes no path, got '{config.name}'; did you mean {_kind_of(argument)}?")
    if config.size is not None and not source.resizable:
        raise UserError(f"data set '{head}' has a fixed size: leave out size={config.size}")
    if config.levels is not None and not source.scalable:
        raise UserError(f"data set '{head}' has levels of its own: leave out levels={config.levels}")
    return source(config, argument)


def refuse_validation_fraction(config: DataConfig, own: str) -> None:
    """Raise UserError if a validation share is set, which would be ignored: the validation images are drawn apart.

    Args:
        own: the validation data of the data set in words, such as "35 validation videos".
    """
    if config.validation_fraction != DataConfig.model_fields["validation_fraction"].default:
        raise UserError(
            f"'{config.name}' has {own} of its own: leave out validation_fraction={config.validation_fraction:g}"
        )


def load(config: DataConfig) -> Dataset:
    """Load the data set of a config.

    Raises:
        UserError: the name is unknown (the message suggests the closest one), files are missing, truncated or damaged,
            or splits are empty or inconsistent.
    """
    raw = source_of(config).read()
    train, validation = (
        (raw.train, raw.validation)
        if raw.validation is not None
        else hold_out(raw.train, config.validation_fraction, config.split_seed, config.name)
    )
    _check(config.name, {"training": train, "validation": validation, "test": raw.test}, len(raw.class_names))
    splits = (train, validation, raw.test)
    shown = splits if raw.shown is None else tuple(map(raw.shown.label, splits))
    return Dataset(
        name=config.name,
        train=shown[0],
        validation=shown[1],
        test=shown[2],
        class_names=raw.class_names if raw.shown is None else raw.shown.names,
        event_shape=tuple(int(n) for n in train.images.shape[1:]),  # pyright: ignore[reportArgumentType]
        fingerprint=fingerprint(*splits),
        note=raw.note,
        truth=raw.truth,
        doubtful=raw.doubtful,
    )


def _check(name: str, parts: Mapping[str, Split], classes: int) -> None:
    """Raise UserError if a split is empty, shapes differ, or a label is neither that of a class nor -1."""
    shape = parts["training"].images.shape[1:]
    columns = _columns(parts["training"])
    for part, split in parts.items():
        if _columns(split) != columns:
            raise UserError(f"'{name}': wanted the auxiliary columns of the training images in {part} too")
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
