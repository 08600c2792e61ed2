"""Which stored value is white: as told, or by the type of the values; and what to say of values that hardly use it."""

from __future__ import annotations

import numpy as np

from gpvae_core.errors import UserError

LEAST_SHARE = 0.25
"""Smallest share of the range from black to white over which the values of real images are expected to spread."""

WHITE_16 = (1 << 16) - 1
"""Value of white in a picture of 16 bits a channel, unless it was told."""

SET_LEVELS = ", so that they are nearly black; if {high} is white: --set data.levels={high}"
"""What to do where images are too dark; {high} stands for their largest value."""

SCALE = ", so that they are nearly black; if {high} is white: scale them by it to 8 bits before"
"""What to do where pictures are too dark that have not all the same depth, or 16 bits in colour."""


def check_levels(images: np.ndarray, levels: float, where: str) -> None:
    """Raise UserError if a value is above that of white, or below 0; `where` names the images in it."""
    low, high = images.min(), images.max()
    if low < 0 or high > levels:
        raise UserError(f"{where}: wanted values from 0 to {levels:g}, the value of white, got {low:g} to {high:g}")


def sliver_note(images: np.ndarray, levels: float, where: str, advice: str = "") -> str:
    """Return, in words, that the values use a sliver of the range from 0 to `levels`; empty if they do not.

    Args:
        advice: what to say where they are too dark, such as SET_LEVELS.
    """
    low, high = float(images.min()), float(images.max())
    if high - low >= LEAST_SHARE * levels:
        return ""
    dark = advice.format(high=f"{high:g}") if 0.0 < high < LEAST_SHARE * levels else ""
    return f"{where}: values use {low:g} to {high:g} of the range from 0 to {levels:g}{dark}"
