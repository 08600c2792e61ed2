"""Predictions of images that need no model, beside which those of a model are judged."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.evaluation.mean import EvaluationPart, Mean

IMAGES_AT_ONCE, DISTANCES_AT_ONCE = 4096, 4_000_000
"""Images whose errors, and pairs whose distances, are computed in one piece, for which memory is enough."""


class Yardsticks(EvaluationPart):
    """Mean square errors of a pixel of predictions that need no model.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> yardsticks = gpvae.evaluate_conditional(run, "validation", k=2).yardsticks
    >>> yardsticks.mean_image.n, yardsticks.nearest_view
    (1050, None)
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"nearest_view", "nearest_view_rotated"})
    mean_image: Mean
    """Of the mean of the training images."""
    nearest_view: Mean | None = None
    """Of the training image of the same categories, nearest in the columns that are numbers; where frames are hidden,
    of the nearest one that is not. None where predictions are given the images themselves."""
    nearest_view_rotated: Mean | None = None
    """Of that image rotated by the difference of the angles. It knows that the column is an angle of the picture, which
    no model is told: where it is far better, the set is easy for whoever knows that."""


def yardsticks(
    train: Split,
    images: Split,
    views: Split | None,
    groups: Int64[np.ndarray, " N"] | None = None,
    along: str = "",
) -> Yardsticks:
    """Return what the mean image and the nearest view would have scored.

    Args:
        train: the training images.
        views: the images that predictions are given, among which the nearest is sought; None where they hold the
            images themselves.
        groups: the group of each image if only images of different groups are independent.
        along: name of the number in which views are near; '' for all numbers.
    """
    mean = _mean_image(train)
    of_mean = [_errors(_flat(images.take(index)), mean) for index in _pieces(images)]
    found = {"mean_image": np.concatenate(of_mean) if of_mean else np.zeros(0)} | nearest_errors(images, views, along)
    return Yardsticks(**{name: Mean.over(errors, groups) for name, errors in found.items()})


def nearest_errors(images: Split, views: Split | None, along: str = "") -> dict[str, Float[np.ndarray, " N"]]:
    """Return each image's error of its nearest view, and of that rotated by the angle between them; NaN without one.

    Args:
        along: name of the number in which views are near; '' for all numbers.
    """
    if views is None or views.auxiliary is None or images.auxiliary is None:
        return {}
    numbers = [c for c in views.auxiliary.columns if c.role == "number" and along in ("", c.name)]
    if not numbers:
        return {}
    all_seen = np.ones((len(views), 1, 1), bool)
    usable = np.asarray((all_seen if views.observed is None else views.observed).any((1, 2)))
    near, nearest = _nearest(views.auxiliary, images.auxiliary, numbers, usable)
    turn = next((column for column in numbers if _is_angle(column)), None)
    errors = {"nearest_view": np.full(len(images), np.nan)}
    if turn is not None:
        errors["nearest_view_rotated"] = np.full(len(images), np.nan)
    found = np.flatnonzero(near)
    for piece in _pieces(images.take(found)):
        rows = found[piece]
        truth, seen = _flat(images.take(rows)), views.take(nearest[rows])
        pixels = _flat(seen)
        errors["nearest_view"][rows] = _errors(truth, pixels)
        if turn is not None and seen.auxiliary is not None:
            by = images.auxiliary[turn.name][rows] - seen.auxiliary[turn.name]
            turned = _rotated(seen.pixels(), 360.0 * by / float(turn.period or 1))
            # A view with missing pixels is not rotated, as it would be in part made up.
            turned[~np.isfinite(pixels).all(1)] = np.nan
            errors["nearest_view_rotated"][rows] = _errors(truth, turned)
    return errors


def _pieces(split: Split) -> list[np.ndarray]:
    """Return the indices of all images in pieces, for which memory is enough."""
    return [np.arange(start, min(start + IMAGES_AT_ONCE, len(split))) for start in range(0, len(split), IMAGES_AT_ONCE)]


def _mean_image(split: Split) -> Float[np.ndarray, " P"]:
    """Return the mean of each pixel over the images in which it is observed; NaN where it never is."""
    total, count = np.zeros(()), np.zeros(())
    for index in _pieces(split):
        values = _flat(split.take(index))
        there = np.isfinite(values)
        total, count = total + np.where(there, values, 0.0).sum(0), count + there.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _errors(truth: Float[np.ndarray, "N P"], predicted: Float[np.ndarray, "*N P"]) -> Float[np.ndarray, " N"]:
    """Return the mean square error of each image over its finite pixels; NaN where there is none."""
    square = np.square(truth - predicted)
    there = np.isfinite(square)
    count = there.sum(1)
    return np.where(count > 0, np.where(there, square, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def _flat(split: Split) -> Float[np.ndarray, "N P"]:
    """Return the pixels of each image, NaN where one is missing."""
    pixels = split.pixels().double().numpy()
    if split.observed is not None:
        pixels[np.broadcast_to(~split.observed[:, None], pixels.shape)] = np.nan
    return pixels.reshape(len(split), math.prod(pixels.shape[1:]))


def _is_angle(column: Column) -> bool:
    """Return whether a column is an angle by its unit and period: a full turn."""
    turns = {"rad": 2 * math.pi, "degrees": 360.0}
    return column.unit in turns and column.period is not None and math.isclose(column.period, turns[column.unit])


def _nearest(
    views: Auxiliary, images: Auxiliary, numbers: list[Column], usable: Bool[np.ndarray, " M"]
) -> tuple[Bool[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Return which images have a view of the same categories, and the nearest one's index for each.

    Args:
        usable: the views among which it is sought, which are no missing frames.
    """
    keys = [column.name for column in views.columns if column.role == "category"]
    codes, own = (
        np.column_stack([part[name] for name in keys]) if keys else np.zeros((len(part), 0)) for part in (views, images)
    )
    there, nearest = np.zeros(len(images), np.bool_), np.zeros(len(images), np.int64)
    step = max(1, DISTANCES_AT_ONCE // max(1, len(views)))
    for low in range(0, len(images) if len(views) else 0, step):
        rows = slice(low, low + step)
        distance = np.zeros((len(own[rows]), len(views)))
        for column in numbers:
            difference = np.abs(images[column.name][rows, None] - views[column.name])
            if column.period is not None:
                difference = np.minimum(difference % column.period, column.period - difference % column.period)
            distance += np.square(difference / max(float(views[column.name].std()), 1e-12))
        distance[(own[rows, None] != codes).any(-1) | ~usable] = np.inf
        there[rows], nearest[rows] = np.isfinite(distance).any(1), distance.argmin(1)
    return there, nearest


def _rotated(x: Tensor, degrees: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N P"]:
    """Return images rotated counter-clockwise, each by its angle, by cubic splines."""
    from scipy.ndimage import rotate  # takes long to import, and only angles need it

    turned = [
        rotate(image, angle, axes=(1, 2), reshape=False)
        for image, angle in zip(x.double().numpy(), degrees, strict=True)
    ]
    return np.stack(turned).reshape(len(x), -1) if turned else np.zeros((0, math.prod(x.shape[1:])))
