"""The starts of inducing points."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gpvae_core.inference.gp_prior.inducing_starts import PointsStart, starting_points
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, inference, model

ANGLES = torch.arange(16, dtype=torch.float64)
VECTORS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LEARNED = torch.tensor([False, True, True, True])
INPUTS = torch.cat([ANGLES.repeat_interleave(40)[:, None], VECTORS.repeat(16, 1)], 1)
STARTS: list[PointsStart] = ["spread", "draws", "random", "low", "middle", "high"]


def points(start: PointsStart, m: int = 32, seed: int = 0) -> Tensor:
    return starting_points(start, m, INPUTS, LEARNED, seed)


@pytest.mark.parametrize("start", STARTS)
def test_a_start_follows_from_the_seed(start: PointsStart) -> None:
    assert points(start).shape == (32, 4)
    assert torch.equal(points(start, seed=3), points(start, seed=3))


@pytest.mark.parametrize("start", ["draws", "random"])
def test_each_number_is_taken_equally_often(start: PointsStart) -> None:
    assert torch.equal(points(start)[:, 0].sort().values, ANGLES.repeat_interleave(2))
    assert points(start, m=4)[:, 0].tolist() == [0, 4, 8, 12]


def test_draws_are_rows_moved_by_one_deviate_times_each_bandwidth() -> None:
    bandwidth = 1.06 * VECTORS.std(0, correction=0) * 40**-0.2
    drawn = points("draws")[:, 1:]
    deviates = (drawn[:, None] - VECTORS) / bandwidth
    # Of the row that it was drawn from, all of a point's deviates are the same.
    spread = (deviates.amax(-1) - deviates.amin(-1)).min(1)
    assert float(spread.values.max()) < 1e-12
    assert float(deviates.mean(-1).gather(1, spread.indices[:, None]).std()) == pytest.approx(1.0, abs=0.3)


def test_a_random_start_has_vectors_of_standard_deviation_one_and_a_half() -> None:
    assert float(points("random", m=2000)[:, 1:].std()) == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize(("start", "least", "largest"), [("low", 0, 1.5), ("middle", 6.75, 8.25), ("high", 13.5, 15)])
def test_a_squeezed_start_takes_a_tenth_of_the_range(start: PointsStart, least: float, largest: float) -> None:
    assert points(start)[:, 0].aminmax() == (pytest.approx(least), pytest.approx(largest))


@pytest.mark.parametrize("settings", [BY_TIME, BY_VIEW, {"prior.kernel": "linear(object, dim=2)"}])
@pytest.mark.parametrize("start", STARTS)
def test_a_model_starts_there_and_its_bound_is_finite(start: PointsStart, settings: dict[str, Any]) -> None:
    every = {**settings, "inference.points": 5, "inference.points_start": start}
    vae = model("svgp", every)
    assert float(vae.get_parameter("extra.family.inducing.inputs").detach().abs().sum()) > 0
    assert torch.isfinite(torch.tensor(inference("svgp", every, vae).score()))
