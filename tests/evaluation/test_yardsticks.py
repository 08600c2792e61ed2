"""The predictions that need no model, by hand: what is nearest, what is an angle, and what is rotated."""

from __future__ import annotations

import numpy as np
import pytest

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.evaluation.yardsticks import nearest_errors, yardsticks

RNG = np.random.default_rng(0)


def split(images: np.ndarray, columns: dict[Column, list[float]], observed: np.ndarray | None = None) -> Split:
    values = {column.name: np.array(numbers) for column, numbers in columns.items()}
    return Split(images, np.zeros(len(images), np.int64), 1, Auxiliary(tuple(columns), values), observed)


def images(count: int) -> np.ndarray:
    return RNG.uniform(0, 1, (count, 1, 5, 5)).astype(np.float32)


def test_several_numbers_count_in_units_of_their_spread() -> None:
    metres, seconds = Column("place", "number"), Column("time", "number")
    pixels = images(3)
    # In metres the first view is nearer by far, in standard deviations of both the second.
    views = split(pixels[:2], {metres: [0.0, 900.0], seconds: [5.0, 0.1]})
    truth = split(pixels[2:], {metres: [300.0], seconds: [0.0]})
    errors = [np.square(pixels[2] - pixels[k]).mean() for k in (0, 1)]
    assert nearest_errors(truth, views)["nearest_view"] == pytest.approx([errors[1]])
    assert nearest_errors(truth, views, "place")["nearest_view"] == pytest.approx([errors[0]])


@pytest.mark.parametrize(
    ("period", "unit", "turned"),
    [(2 * np.pi, "rad", True), (360.0, "degrees", True), (np.pi, "rad", False), (180.0, "degrees", False)],
)
def test_only_a_full_turn_is_an_angle_of_the_picture(period: float, unit: str, turned: bool) -> None:
    angle = Column("angle", "number", period=period, unit=unit)
    seen = images(1)
    rotated = np.rot90(seen, 1, (2, 3)).copy()
    found = yardsticks(split(seen, {angle: [0.0]}), split(rotated, {angle: [period / 4]}), split(seen, {angle: [0.0]}))
    assert (found.nearest_view_rotated is not None) == turned
    if found.nearest_view_rotated is not None:
        assert (found.nearest_view_rotated.mean or 0) < 1e-10


def test_a_view_with_missing_pixels_is_not_rotated() -> None:
    angle = Column("angle", "number", period=360.0, unit="degrees")
    seen = images(2)
    observed = np.ones((2, 5, 5), np.bool_)
    observed[0, 2, 2] = False
    views = split(seen, {angle: [0.0, 180.0]}, observed)
    truth = split(np.rot90(seen, 1, (2, 3)).copy(), {angle: [10.0, 190.0]})
    found = nearest_errors(truth, views)
    assert np.isfinite(found["nearest_view"]).all()
    assert np.isfinite(found["nearest_view_rotated"]).tolist() == [False, True]
