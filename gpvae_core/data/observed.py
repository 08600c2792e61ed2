"""The refusal of data with missing pixels by methods that need every pixel."""

from __future__ import annotations

import numpy as np

from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError


def wants_all_pixels(data: Dataset) -> None:
    """Raise UserError if pixels are missing, for a method that would learn the zeros that stand for them."""
    splits = (data.train, data.validation, data.test)
    masks = [split.observed for split in splits if split.observed is not None]
    holed = sum(np.count_nonzero(~mask.all((1, 2))) for mask in masks)
    if holed:
        raise UserError(
            f"'{data.name}': {holed} of {sum(map(len, splits))} images have missing pixels, which this method would "
            "learn as black: wanted whole images; leave those images out"
        )
