"""SPRITES (Li & Mandt 2018; Jazbec et al. 2021, appendix A.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.auxiliary import Auxiliary, Column, Role
from gpvae_core.data.base import DATASETS, DataConfig, RawData, Source
from gpvae_core.data.damage import npz_in_one_line
from gpvae_core.data.files import ENVIRONMENT, find_file
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, clipped
from gpvae_core.parsing import whole_number
from gpvae_core.reading import read_arrays, read_rows
from gpvae_core.types import EventShape

FILE = "sprites.npz"
SIDE = 64
TRAINING, TEST = 1000, 296
"""Characters; the first of the published order are trained on."""
FEWEST_TEST = 20
"""Fewest test characters where the training characters are a part."""
DRAWN = 50
"""Poses of each training character."""
ACTIONS, DIRECTIONS, FRAMES = ("walk", "spellcard", "slash"), ("front", "left", "right"), 8
GAITS = tuple(f"{action} {direction}" for action in ACTIONS for direction in DIRECTIONS)
POSES = tuple(f"{gait} {frame}" for gait in GAITS for frame in range(FRAMES))
"""Pose (action * 3 + direction) * 8 + frame, by its number."""
MAX_BYTES = 1_000_000
"""Most bytes of the arrays beside the frames."""
Poses: TypeAlias = Mapping[int, NDArray[np.int64]]
"""Poses that are read of each character, by its row in the file."""


@DATASETS.register("sprites")
class Sprites(Source):
    """Characters in 72 poses, 64x64 in colour (Li & Mandt 2018); needs sprites.npz; sprites:200 for 200 of the 1,000.

    50 seeded poses of each training character, and all of each test character; the class is the action and direction.
    """

    shape: EventShape | None = (3, SIDE, SIDE)
    takes: ClassVar[str] = "CHARACTERS"
    columns: ClassVar[Mapping[str, Role]] = {"character": "category", "pose": "category"}
    process: ClassVar[Mapping[str, Any]] = {
        "kernel": "normalised_linear(character, dim=16) * normalised_linear(pose, dim=8) + white()",
        "jitter": 1e-2,
    }
    by_hand: ClassVar[str | None] = (
        "compose the sheets of github.com/YingzhenLi/Sprites by its scripts, save 'frames' (1296, 72, 64, 64, 3) as "
        f"bytes, 'attributes' (1296, 4) and 'character_order' (1296) in {FILE}, and put it into a folder 'sprites' in "
        f"the one that {ENVIRONMENT} names"
    )

    def __init__(self, config: DataConfig, argument: str) -> None:
        super().__init__(config, argument)
        self.characters = TRAINING if not argument else whole_number(argument) or 0
        if not 1 <= self.characters <= TRAINING:
            raise UserError(
                f"wanted 1 to {TRAINING} training characters as in 'sprites:200', got 'sprites:{clipped(argument)}'"
            )

    @classmethod
    def present(cls) -> bool | str | None:
        return find_file("sprites", (FILE,)) is not None

    def read(self) -> RawData:
        path = find_file("sprites", (FILE,))
        if path is None:
            raise UserError(f"the images of 'sprites' are not there: {self.by_hand}")
        names, order = _characters(path)
        tested = max(FEWEST_TEST, round(TEST * self.characters / TRAINING))
        rng = np.random.default_rng(self.config.split_seed)
        train = {int(row): np.sort(rng.permutation(len(POSES))[:DRAWN]) for row in order[: self.characters]}
        test = {int(row): np.arange(len(POSES)) for row in order[TRAINING : TRAINING + tested]}
        columns = Column("character", "category", names=names), Column("pose", "category", names=POSES)
        train_images, test_images = _frames(path, (train, test))
        subset = f"a subset: {self.characters} of {TRAINING} training characters and {tested} of {TEST} test characters"
        return RawData(
            _split(columns, train_images, train),
            _split(columns, test_images, test),
            GAITS,
            note=subset if self.characters < TRAINING else "",
        )


def _characters(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return (name of each character by its row, rows in the published order). Raises UserError for another file."""
    count = TRAINING + TEST
    with npz_in_one_line(path):
        arrays = read_arrays(path, MAX_BYTES, ("attributes", "character_order"))
        attributes, order = arrays["attributes"], arrays["character_order"].astype(np.int64)
        names = tuple("-".join(map(str, row)) for row in attributes.tolist())
        if len(set(names)) != count or not np.array_equal(np.sort(order), np.arange(count)):
            raise ValueError(f"not the attributes and the order of {count} characters")
    return names, order


def _frames(path: Path, parts: Sequence[Poses]) -> list[NDArray[np.uint8]]:
    """Return the images (N, 3, 64, 64) of each part, read character by character, as all frames take 1.15 GB.

    Raises:
        UserError: the file is truncated, damaged or another file.
    """
    images = [np.empty((sum(map(len, part.values())), 3, SIDE, SIDE), np.uint8) for part in parts]
    pairs = zip(parts, images, strict=True)
    places = {row: place for part, into in pairs for row, place in _places(part, into).items()}
    with npz_in_one_line(path):
        count = 0
        for frames in read_rows(path, "frames"):
            if frames.shape != (len(POSES), SIDE, SIDE, 3) or frames.dtype != np.uint8 or count == TRAINING + TEST:
                raise ValueError(f"not the frames of {TRAINING + TEST} characters in {len(POSES)} poses")
            if count in places:
                poses, into = places[count]
                into[:] = frames[poses].transpose(0, 3, 1, 2)
            count += 1
        if count < TRAINING + TEST:
            raise ValueError(f"frames of {count} characters")
    return images


def _places(part: Poses, images: NDArray[np.uint8]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Return (poses, the part of `images` that they go into) by row."""
    ends = np.cumsum([len(poses) for poses in part.values()])
    return {row: (poses, images[end - len(poses) : end]) for (row, poses), end in zip(part.items(), ends, strict=True)}


def _split(columns: tuple[Column, ...], images: NDArray[np.uint8], part: Poses) -> Split:
    pose = np.concatenate([*part.values()])
    values = {"character": np.repeat([*part], [len(poses) for poses in part.values()]), "pose": pose}
    return Split(images, pose // FRAMES, 255, Auxiliary(columns, values))
