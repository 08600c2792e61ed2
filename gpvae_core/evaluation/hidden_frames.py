"""Frames of series that are hidden from a model, which then predicts them from the others of their series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

if TYPE_CHECKING:  # a page is up before torch is imported, with which images come
    from gpvae_core.data.auxiliary import Auxiliary
    from gpvae_core.data.split import Split

HIDDEN: dict[str, str] = {
    "none": "no frames",
    "second": "every second frame",
    "middle": "the middle third",
    "last": "the last third",
}
"""Which frames of a series the model is not given."""


def hidden_frames(hide: str, count: int) -> NDArray[np.bool_]:
    """Return which of a series' frames, in the order of their numbers, are hidden from the model.

    >>> hidden_frames("middle", 6).tolist()
    [False, False, True, True, False, False]
    """
    k = np.arange(count)
    third = count // 3
    return {
        "second": k % 2 == 1,
        "middle": (k >= third) & (k < 2 * third),
        "last": k >= count - third,
    }.get(hide, np.zeros(count, np.bool_))


def in_order(auxiliary: Auxiliary, group: str, number: str, code: int) -> NDArray[np.int64]:
    """Return the indices of a group's frames in the order of their number, missing frames among them."""
    found = np.flatnonzero(auxiliary[group] == code)
    return found[np.argsort(auxiliary[number][found], kind="stable")]


def hidden_in(auxiliary: Auxiliary, group: str, number: str, hide: str) -> Bool[np.ndarray, " N"]:
    """Return which frames are hidden from the model if those of `hide` are in each group."""
    hidden = np.zeros(len(auxiliary), np.bool_)
    for code in np.unique(auxiliary[group]):
        index = in_order(auxiliary, group, number, code)
        hidden[index] = hidden_frames(hide, len(index))
    return hidden


def without(images: Split, hidden: Bool[np.ndarray, " N"]) -> Split:
    """Return the images with those that are `hidden` as missing frames."""
    observed = np.ones((len(images), *images.images.shape[2:]), np.bool_)
    if images.observed is not None:
        observed &= images.observed
    observed[hidden] = False
    return replace(images, observed=observed)
