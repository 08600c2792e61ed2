"""The benches of MAPA's neighbours at small sizes; exponents of known powers; the figure's contents."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.bench import growth, neighbours
from gpvae_core.bench.base import Row, run_bench
from gpvae_core.bench.growth import GrowthBench, exponent
from gpvae_core.bench.neighbours import SearchMeasurement, measure, rows
from gpvae_core.bench.surface import near_a_surface
from gpvae_core.errors import UserError
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.progress import Cancelled, silent

SIZES = (300, 600, 1200)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "SIZES", SIZES)
    monkeypatch.setattr(growth, "FITTED_FROM", 300)
    monkeypatch.setattr(growth, "NEIGHBOURS", 20)
    monkeypatch.setattr(growth, "QUERIES", 200)


def table(index: list[list[int]], recall: float) -> NeighbourTable:
    actual = torch.tensor(index)
    return NeighbourTable(actual, actual.float(), actual.float(), 9, recall)


def test_an_exponent_is_the_slope_on_logarithmic_axes() -> None:
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3e-4 * n**1.7 for n in sizes]) == pytest.approx(1.7)


@pytest.mark.usefixtures("small")
def test_growth_measures_each_size_and_draws_it(tmp_path: Path) -> None:
    result = run_bench("growth", "cpu", 1, silent, tmp_path / "growth.html")
    actual = {(row["case"], row["metric"]): row["value"] for row in result["rows"]}
    assert {case for case, _ in actual} == {
        *(f"{way}, N = {n:,}" for way in growth.METHODS for n in SIZES),
        *growth.METHODS,
    }
    assert all(value > 0 for key, value in actual.items() if key[1] != growth.EXPONENT)
    assert all(value > 0.9 for (_, metric), value in actual.items() if metric == "recall")
    assert (tmp_path / "growth.html").read_text(encoding="utf-8").count("training points N") == 1
    drawn: Any = GrowthBench().draw([Row(**row) for row in result["rows"]])
    exact = drawn.data[0]
    assert list(exact.x) == list(SIZES)
    assert list(exact.y) == [actual[f"exact, N = {n:,}", growth.TIME] for n in SIZES]
    assert drawn.layout.xaxis.type == drawn.layout.yaxis.type == "log"
    assert drawn.layout.yaxis.title.text == "time for all points (s)"
    assert len({(trace.line.dash, trace.marker.symbol) for trace in drawn.data}) == 2


@pytest.mark.usefixtures("small")
def test_a_figure_that_cannot_be_written_or_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted a file in an existing folder"):
        run_bench("growth", "cpu", 1, silent, tmp_path / "none" / "growth.html")
    with pytest.raises(UserError, match="has no figure"):
        run_bench("inference", "cpu", 1, silent, tmp_path / "inference.html")


def test_neighbours_are_measured_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPVAE_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(neighbours, "POINTS", 260)
    told: list[str] = []

    def listen(done: int, total: int, what: str) -> None:
        told.append(what)

    actual = measure("exact", torch.device("cpu"), tmp_path / "table.safetensors", listen)
    expected = find_neighbours(near_a_surface(260, 784), GaussianKernel(1.0), 200, device="cpu")
    assert torch.equal(actual.table.index, expected.index)
    assert actual.data == "synthetic"
    assert actual.seconds > 0
    assert actual.gb is None or 0.05 < actual.gb < 3
    assert set(told) == {"finding neighbours, exact"}


def test_stopping_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPVAE_DATA_DIR", raising=False)
    monkeypatch.setattr(neighbours, "POINTS", 260)

    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        measure("exact", torch.device("cpu"), tmp_path / "table.safetensors", stop)
    assert multiprocessing.active_children() == []


def test_figures_stand_beside_their_targets() -> None:
    exact = SearchMeasurement("MNIST", 50.0, 0.9, table([[0, 1], [1, 2]], 1.0))
    approximate = SearchMeasurement("MNIST", 10.0, None, table([[0, 1], [1, 5]], 0.8))
    actual = {row.metric: row for row in rows(exact, approximate)}
    assert actual["time (target: at most 120 s)"].value == 50.0
    assert actual["time, with building the lists"].ratio == 0.2
    assert actual["times as fast as exact (target: at least 5)"].value == 5.0
    assert actual["recall of all (target: at least 0.95)"].value == 0.75
    assert actual["recall that the search itself measured on a sample"].value == 0.8
    assert [row.case for row in rows(exact, approximate) if "memory" in row.metric] == ["exact, MNIST"]


def test_points_near_a_surface_have_two_directions_locally() -> None:
    """The nearest neighbours of a point vary in two directions far more than by the noise."""
    x = near_a_surface(20_000, 10, seed=1)
    near = find_neighbours(x, GaussianKernel(1.0), 30, x[:20], device="cpu").index
    spread = np.array([np.linalg.svd(x[row] - x[row].mean(0), compute_uv=False) for row in near])
    assert np.median(spread[:, 1] / spread[:, 4]) > 1.2
    assert torch.equal(x, near_a_surface(20_000, 10, seed=1))
