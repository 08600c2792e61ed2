"""Rotated MNIST (Casale et al. 2018; Jazbec et al. 2021, appendix A.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from gpvae_core.data.auxiliary import Auxiliary, Column, Role
from gpvae_core.data.base import DATASETS, DataConfig, RawData, Source
from gpvae_core.data.damage import npz_in_one_line
from gpvae_core.data.files import find_file
from gpvae_core.data.mnist import Mnist
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, clipped
from gpvae_core.reading import read_arrays
from gpvae_core.types import EventShape

IDENTITIES, IN_SPLITS = 400, 360
"""Images of each digit, and those of them that are trained on: the last 40 are left for evaluation."""
ANGLES, LEFT_OUT = 16, 7
"""Angles of a full turn, and the one of the test images: 7 * 22.5 = 157.5 degrees."""
KEPT = 0.75
"""Share of the (identity, angle) pairs that is in a split."""
SCORES = 8
"""Principal components of the unrotated images, at which GP-LVM vectors of the objects start."""
DECIMALS = 6
"""Scores are rounded, as machines differ in their last digits."""
PUBLISHED_DIGITS = (3,)
FILE = "rotated_mnist_3.npz"
MAX_BYTES = 100_000_000
SIDE = 28
SPLINE_RANGE = (-0.7, 1.7)
"""Bounds of a cubic spline through values in [0, 1]: its Lebesgue constant is ((1 + 3 sqrt(3)) / 4)^2 = 2.4 in the
plane, so that it overshoots by at most 0.7. Rotated digits reach -0.26 and 1.24."""


@dataclass(frozen=True)
class Views:
    """Rotated images with their object, their angle and their digit."""

    images: Float[np.ndarray, "N H W"]
    objects: NDArray[np.int64]
    steps: NDArray[np.int64]
    """Angle of each image, in sixteenths of a turn."""


@DATASETS.register("rotated-mnist")
class RotatedMnist(Source):
    """MNIST's digit 3, or those of a name such as rotated-mnist:0,1,3 or rotated-mnist:0-9, at 16 angles; needs MNIST.

    Pixels are splines and reach beyond [0, 1]. With the published file of digit 3, its images; else the same recipe.
    """

    shape: EventShape | None = (1, SIDE, SIDE)
    takes: ClassVar[str] = "DIGITS"
    pixel_range: ClassVar[tuple[float, float] | None] = SPLINE_RANGE
    columns: ClassVar[Mapping[str, Role]] = {
        "angle": "number",
        "object": "category",
        "digit": "category",
        "pca": "vector",
    }
    process: ClassVar[Mapping[str, Any]] = {"kernel": "periodic(angle) * linear(object)"}
    by_hand: ClassVar[str | None] = "it is made of MNIST: run 'gpvae data fetch mnist'"

    def __init__(self, config: DataConfig, argument: str) -> None:
        super().__init__(config, argument)
        self.digits = parse_digits(argument) if argument else PUBLISHED_DIGITS

    @classmethod
    def present(cls) -> bool | str | None:
        return _published_file() is not None or Mnist.present()

    def read(self) -> RawData:
        path = _published_file() if self.digits == PUBLISHED_DIGITS else None
        if path is not None:
            train, test, pca = _published(path)
            note = (
                "the published training and test images in their order; the published evaluation images, of identities "
                f"{IN_SPLITS} to {IDENTITIES - 1}, are in no split: they are 'eval_images' in {FILE}"
            )
        else:
            upright = self._upright()
            train, test = self._draw(upright)
            pca = principal_scores(upright.reshape(-1, SIDE, SIDE))
            note = (
                f"not the published split, which is of digit 3 alone and needs {FILE}: the first {IDENTITIES} training "
                f"images of each digit, of which split_seed draws the views; identities {IN_SPLITS} to "
                f"{IDENTITIES - 1} are in no split"
            )
        columns = _columns(self.digits)
        digits = np.array(self.digits)
        return RawData(
            _split(train, columns, digits, pca), _split(test, columns, digits, pca), tuple("0123456789"), note=note
        )

    def _upright(self) -> Float[np.ndarray, "digits identities H W"]:
        """Return the first IDENTITIES training images of each digit, in [0, 1]."""
        mnist = Mnist(self.config, "").read().train
        members = [np.flatnonzero(mnist.labels == digit)[:IDENTITIES] for digit in self.digits]
        for digit, found in zip(self.digits, members, strict=True):
            if len(found) < IDENTITIES:
                raise UserError(
                    f"'{self.config.name}': wanted {IDENTITIES} training images of digit {digit} in MNIST, "
                    f"got {len(found)}"
                )
        return mnist.images[np.stack(members), 0] / mnist.levels

    def _draw(self, upright: Float[np.ndarray, "digits identities H W"]) -> tuple[Views, Views]:
        """Return seeded KEPT of the training and of the test views of each digit, identity by identity."""
        trained, tested = np.delete(np.arange(ANGLES), LEFT_OUT), np.array([LEFT_OUT])
        train: list[Views] = []
        test: list[Views] = []
        for place, digit in enumerate(self.digits):
            # Each digit has a stream of its own, so that its views do not depend on the other digits.
            rng = np.random.default_rng([self.config.split_seed, digit])
            for part, angles in ((train, trained), (test, tested)):
                pairs = np.sort(rng.permutation(IN_SPLITS * len(angles))[: round(KEPT * IN_SPLITS * len(angles))])
                identity, steps = pairs // len(angles), angles[pairs % len(angles)]
                part.append(Views(rotated(upright[place], identity, steps), place * IDENTITIES + identity, steps))
        return _joined(train), _joined(test)


def _joined(parts: Sequence[Views]) -> Views:
    return Views(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.objects for part in parts]),
        np.concatenate([part.steps for part in parts]),
    )


def parse_digits(text: str) -> tuple[int, ...]:
    """Return the digits of '3', '0,1,3' or '0-9' in ascending order. Raises UserError for any other text."""
    digits: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch("([0-9])(?:-([0-9]))?", piece)
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise UserError(f"wanted digits as in 'rotated-mnist:0,1,3' or 'rotated-mnist:0-9', got '{clipped(text)}'")
        digits |= {*range(int(match[1]), int(match[2] or match[1]) + 1)}
    return tuple(sorted(digits))


def rotated(
    upright: Float[np.ndarray, "identities H W"], identity: NDArray[np.int64], steps: NDArray[np.int64]
) -> Float[np.ndarray, "N H W"]:
    """Return images of these identities rotated by these steps of 22.5 degrees, counter-clockwise; not clipped."""
    from scipy.ndimage import rotate  # the command line's help is up before scipy is imported

    views = np.empty((len(identity), SIDE, SIDE), np.float32)
    for step in np.unique(steps):
        at = np.flatnonzero(steps == step)
        views[at] = rotate(upright[identity[at]], 360.0 / ANGLES * step, axes=(1, 2), reshape=False)
    return views


def principal_scores(upright: Float[np.ndarray, "N H W"]) -> Float[np.ndarray, "N scores"]:
    """Return the first SCORES principal components of each unrotated image."""
    from sklearn.decomposition import PCA  # takes long to import, and other data sets do not need it

    return np.round(PCA(SCORES, svd_solver="full").fit_transform(upright.reshape(len(upright), -1)), DECIMALS)


def _published_file() -> Path | None:
    return find_file("rotated_mnist", (FILE,))


def _published(path: Path) -> tuple[Views, Views, Float[np.ndarray, "identities scores"]]:
    """Return (training views, test views, scores of each identity) of the published file.

    Raises:
        UserError: it is truncated, damaged or another file.
    """
    with npz_in_one_line(path):
        names = ("train_images", "train_aux", "test_images", "test_aux", "pca_init")
        arrays = read_arrays(path, MAX_BYTES, names)
        train, test = (_views(arrays[f"{part}_images"], arrays[f"{part}_aux"]) for part in ("train", "test"))
        pca = arrays["pca_init"]
        if pca.shape != (IDENTITIES, SCORES) or pca.dtype != np.float64:
            raise ValueError("not the published scores")
    return train, test, pca


def _views(images: np.ndarray, aux: np.ndarray) -> Views:
    """Return the views of a part of the published file, whose first auxiliary columns are identity and angle.

    Raises:
        ValueError: the arrays have other shapes or types, or values that are none of the published ones.
    """
    low, high = SPLINE_RANGE
    if images.shape != (len(aux), SIDE, SIDE, 1) or images.dtype != np.float32 or not np.isfinite(aux).all():
        raise ValueError("not the published arrays")
    identity, steps = aux[:, 0].astype(np.int64), np.rint(aux[:, 1] * ANGLES / (2.0 * np.pi)).astype(np.int64)
    known = (identity >= 0) & (identity < IN_SPLITS) & (steps >= 0) & (steps < ANGLES)
    if not (known.all() and low <= images.min() <= images.max() <= high):
        raise ValueError("not the published identities, angles and pixels")
    return Views(images[..., 0], identity, steps)


def _columns(digits: tuple[int, ...]) -> tuple[Column, ...]:
    identities = tuple(f"{digit}-{identity}" for digit in digits for identity in range(IDENTITIES))
    return (
        Column("angle", "number", period=2.0 * np.pi, unit="rad"),
        Column("object", "category", names=identities),
        Column("digit", "category", names=tuple("0123456789")),
        Column("pca", "vector", size=SCORES),
    )


def _split(
    views: Views, columns: tuple[Column, ...], digits: NDArray[np.int64], pca: Float[np.ndarray, "objects scores"]
) -> Split:
    digit = digits[views.objects // IDENTITIES]
    values = {
        "angle": 2.0 * np.pi / ANGLES * views.steps,
        "object": views.objects,
        "digit": digit,
        "pca": pca[views.objects],
    }
    return Split(views.images[:, None], digit, 1, Auxiliary(columns, values))
