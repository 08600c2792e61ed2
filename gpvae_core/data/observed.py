"""Checks of pixels before a training: those that are missing, and those outside of a likelihood's range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError


def wants_all_pixels(data: Dataset, others: Sequence[str]) -> None:
    """Raise UserError if pixels are missing, for a method that would learn the zeros that stand for them.

    Args:
        others: methods that take missing pixels.
    """
    splits = (data.train, data.validation, data.test)
    masks = [split.observed for split in splits if split.observed is not None]
    holed = sum(np.count_nonzero(~mask.all((1, 2))) for mask in masks)
    if holed:
        raise UserError(
            f"'{data.name}': {holed} of {sum(map(len, splits))} images have missing pixels, which this method would "
            f"learn as black: leave those images out, or take one of {', '.join(others)}"
        )


def wants_some_pixels(data: Dataset) -> None:
    """Raise UserError if no training image or no validation image has an observed pixel."""
    for part, split in {"training": data.train, "validation": data.validation}.items():
        if split.observed is not None and not split.observed.any():
            raise UserError(
                f"'{data.name}': wanted {part} images with observed pixels, got missing frames alone: more rows, a "
                "column 'split', or another --set data.split_seed put some there"
            )


def wants_shares(data: Dataset, likelihood: str) -> None:
    """Raise UserError if a pixel is outside of [0, 1], on which alone this likelihood is a density."""
    splits = (data.train, data.validation, data.test)
    low = min(float(split.images.min()) / split.levels for split in splits)
    high = max(float(split.images.max()) / split.levels for split in splits)
    if low < 0 or high > 1:
        raise UserError(
            f"the likelihood '{likelihood}' is of pixels in [0, 1], and those of '{data.name}' are from {low:.3g} to "
            f"{high:.3g}: leave it out, or take --set likelihood.kind=gaussian"
        )
