"""Which stored value is white: as told, or by the type of the values; and what to say of values that hardly use it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpvae_core.errors import UserError

LEAST_SHARE = 0.25
"""Smallest share of the range from black to white over which the values of real images are expected to spread."""

DARK_SHARE = 0.125
"""Largest value, as a share of white, of an image that seems to have another value of white than the others.

The darkest image of MNIST, OMNIGLOT, digits and CIFAR-10 has a largest value of 0.29.
"""

FEW = 2
"""As many images that are so dark are taken for what they show."""

WHITE_16 = (1 << 16) - 1
"""Value of white in a picture of 16 bits a channel, unless it was told."""

MOST_LEVELS = 1 << 32
"""Largest value of white that can be told."""

SET_LEVELS = ", so that they are nearly black; if {high} is white: --set data.levels={high}"
"""What to do where all images are too dark; {high} stands for the largest value, rounded up."""

LESS = ", so that they are nearly black; divide by less before saving"
"""What to do where floats are too dark whose white was not told."""

OTHER_WHITE = (
    ", so that they are nearly black beside the others; if their white is another: scale all to one white before"
)
"""What to do where some images are too dark, and others are not."""

SCALE = ", so that they are nearly black; if {high} is white: scale them by it to 8 bits before"
"""What to do where pictures are too dark that have not all the same depth, or 16 bits in colour."""


def check_levels(images: np.ndarray, levels: float, where: str) -> None:
    """Raise UserError if a value is above that of white, or below 0; `where` names the images in it."""
    low, high = images.min(), images.max()
    if low < 0 or high > levels:
        raise UserError(f"{where}: wanted values from 0 to {levels:g}, the value of white, got {low:g} to {high:g}")


def to_unit_range(low: float, high: float) -> str:
    """Return, in words, what to do with floats from `low` to `high`, which leave [0, 1]."""
    overshoot = 0.1
    if low < -overshoot * max(high, 1.0):
        return "shift and scale them to that before saving"
    if high <= 1.0 + overshoot:
        return "clip overshoot"
    if LEAST_SHARE * 255 <= high <= (1.0 + overshoot) * 255:
        return "divide by 255, or clip overshoot"
    if high > MOST_LEVELS:
        return "divide by their value of white"
    return f"divide by their value of white, or, if {math.ceil(high)} is white: --set data.levels={math.ceil(high)}"


def spans_of(images: np.ndarray) -> NDArray[np.float64]:
    """Return (smallest, largest) value of each image (N, ...) as (N, 2)."""
    flat = images.reshape(len(images), -1)
    return np.stack([flat.min(1), flat.max(1)], 1).astype(np.float64)


def sliver_note(spans: np.ndarray, levels: float, where: str, advice: str = "", highest: float = 0.0) -> str:
    """Return, in words, that all images, or more than FEW, use a sliver of the range from 0 to `levels`; else empty.

    Args:
        spans: (smallest, largest) value of each image, (N, 2).
        advice: what to say where they are too dark, such as SET_LEVELS.
        highest: largest value of other images of the same data: where they are not dark, OTHER_WHITE is said.
    """
    low, high = float(spans[:, 0].min()), float(spans[:, 1].max())
    digits = ".2g" if levels <= 1.0 else "g"  # stored integers as they are
    least = LEAST_SHARE * levels
    if high - low >= least:
        return _dark_images_note(spans, levels, where)
    highest = max(high, highest)
    dark = advice.format(high=math.ceil(highest)) if highest < least else OTHER_WHITE
    used = f"values use {low:{digits}} to {high:{digits}} of the range from 0 to {levels:g}"
    return f"{where}: {used}{dark if 0 < high < least else ''}"


def _dark_images_note(spans: np.ndarray, levels: float, where: str) -> str:
    """Return how many images are dark beside others, in words; images of one value may be what they show."""
    lows, highs = spans.T
    dark = (lows < highs) & (highs <= DARK_SHARE * levels)
    if (count := np.count_nonzero(dark)) <= FEW:
        return ""
    digits = ".2g" if levels <= 1.0 else "g"
    most = f"at most {highs[dark].max():{digits}} of the range from 0 to {levels:g}"
    return f"{where}: {count} of {len(spans)} images use {most}{OTHER_WHITE}"
