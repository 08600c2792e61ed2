"""Videos of a moving ball (Pearce 2020; Jazbec et al. 2021, appendix A.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from gpvae_core.data.auxiliary import Auxiliary, Column, Role
from gpvae_core.data.base import DATASETS, DataConfig, RawData, Source, parse_name, refuse_validation_fraction
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, clipped
from gpvae_core.parsing import whole_number
from gpvae_core.types import EventShape

VIDEOS = {"training": 35, "validation": 35, "test": 350}
MOST_VIDEOS = 10_000
"""Most training videos, which take 307 MB."""
FRAMES, SIDE, RADIUS = 30, 32, 3
LENGTH_SCALE = 2.0
"""Of the paths' kernel, in frames."""
PIXELS_PER_UNIT, CENTRE = 6.4, 16.0
"""A coordinate z of the path lies at 6.4 z + 16 pixels."""
JITTER = 1e-9
DECIMALS = 6
"""Paths are rounded, as machines differ in the last digits of a Cholesky factor: they are equal on every machine."""
NOTE = "videos drawn by split_seed; whole videos are in one split"


def true_length_scale(name: str) -> float | None:
    """Return the length scale of the paths of a data set of this name, in frames; None for another one."""
    return LENGTH_SCALE if parse_name(name)[0] == "moving-ball" else None


def path_kernel(times: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T T"]:
    """Return the covariance of a coordinate of a path, exp(-(t - t')^2 / (2 l^2)) with l = LENGTH_SCALE (A.1)."""
    return np.exp(-0.5 * np.square((times[:, None] - times) / LENGTH_SCALE))


def draw_paths(videos: int, rng: np.random.Generator) -> Float[np.ndarray, "V T 2"]:
    """Return paths (x, y), each coordinate a draw from the Gaussian process of `path_kernel` at frames 1 to FRAMES."""
    kernel = path_kernel(np.arange(1.0, FRAMES + 1.0))
    chol = np.linalg.cholesky(kernel + JITTER * np.eye(FRAMES))
    return np.round(np.einsum("st,vtd->vsd", chol, rng.standard_normal((videos, FRAMES, 2))), DECIMALS)


def draw_frames(position: Float[np.ndarray, "N 2"]) -> Bool[np.ndarray, "N H W"]:
    """Return the ball at each position: the pixels less than RADIUS from it. x goes to the right, y downwards."""
    x, y = (PIXELS_PER_UNIT * position + CENTRE).T[:, :, None, None]
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return np.square(columns - x) + np.square(rows - y) < RADIUS**2


@DATASETS.register("moving-ball")
class MovingBall(Source):
    """Videos of a ball, 30 frames of 32x32, on paths drawn from a GP (Pearce 2020); moving-ball:350 trains on 350.

    Without a number 35 videos are for training, the first of those of any larger number; validation and test videos are
    the same for all.
    """

    takes: ClassVar[str] = "VIDEOS"
    shape: EventShape | None = (1, SIDE, SIDE)
    columns: ClassVar[Mapping[str, Role]] = {"time": "number", "video": "category", "position": "vector"}
    wants: ClassVar[Mapping[str, Any]] = {"likelihood.kind": "bernoulli"}
    process: ClassVar[Mapping[str, Any]] = {
        "kernel": f"rbf(time, length_scale={LENGTH_SCALE:g}, learn=false)",
        "group": "video",
    }

    def __init__(self, config: DataConfig, argument: str) -> None:
        super().__init__(config, argument)
        training = VIDEOS["training"] if not argument else whole_number(argument) or 0
        if not 1 <= training <= MOST_VIDEOS:
            raise UserError(
                f"wanted 1 to {MOST_VIDEOS:,} training videos as in 'moving-ball:350', got "
                f"'moving-ball:{clipped(argument)}'"
            )
        self.videos = {**VIDEOS, "training": training}

    @classmethod
    def present(cls) -> bool | str | None:
        return "built in"

    def read(self) -> RawData:
        refuse_validation_fraction(self.config, f"{VIDEOS['validation']} validation videos")
        names = [f"{part} {number}" for part, count in self.videos.items() for number in range(1, count + 1)]
        columns = (
            Column("time", "number", unit="frames"),
            Column("video", "category", names=tuple(names)),
            Column("position", "vector", size=2),
        )
        codes = np.split(np.arange(len(names)), np.cumsum([*self.videos.values()])[:-1])
        streams = np.random.SeedSequence(self.config.split_seed).spawn(len(self.videos))
        train, validation, test = (
            _split(columns, video, np.random.default_rng(stream)) for video, stream in zip(codes, streams, strict=True)
        )
        return RawData(train, test, ("ball",), validation, NOTE)


def _split(columns: tuple[Column, ...], video: NDArray[np.int64], rng: np.random.Generator) -> Split:
    """Return the frames of these videos, video by video."""
    position = draw_paths(len(video), rng).reshape(-1, 2)
    images = draw_frames(position)[:, None].astype(np.uint8)
    values = {
        "time": np.tile(np.arange(1.0, FRAMES + 1.0), len(video)),
        "video": np.repeat(video, FRAMES),
        "position": position,
    }
    return Split(images, np.zeros(len(images), np.int64), 1, Auxiliary(columns, values))
