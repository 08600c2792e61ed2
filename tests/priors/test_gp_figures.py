"""The learned parameters of a kernel, by name, in the metrics of each epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpvae_core.priors.gp import GPPriorConfig
from tests.inference.gp_prior.series_data import BY_TIME, COLUMNS, trained


def figures(kernel: str) -> dict[str, float]:
    return GPPriorConfig(kernel=kernel).process(COLUMNS).figures()


def test_parameters_are_called_by_kernel_and_column() -> None:
    found = figures("periodic(angle, length_scale=3) * linear(object) + rbf(time, length_scale=2, variance=0.5)")
    assert found == pytest.approx(
        {
            "periodic(angle).length_scale": 3.0,
            "periodic(angle).variance": 1.0,
            "linear(object).variance": 1.0,
            "rbf(time).length_scale": 2.0,
            "rbf(time).variance": 0.5,
        }
    )


def test_fixed_parameters_are_left_out_and_equal_kernels_numbered() -> None:
    kernel = "rbf(time, length_scale=1) + rbf(time, length_scale=5) + white(variance=0.1, learn=false)"
    assert figures(kernel) == pytest.approx(
        {
            "rbf(time).length_scale": 1.0,
            "rbf(time).variance": 1.0,
            "rbf(time) 2.length_scale": 5.0,
            "rbf(time) 2.variance": 1.0,
        }
    )


def test_each_epoch_has_them(tmp_path: Path) -> None:
    run = trained("svgp", {**BY_TIME, "inference.points": 4}, tmp_path / "run")
    scales = [row["kernel.matern(time).length_scale"] for row in run.metrics]  # pyright: ignore[reportGeneralTypeIssues]
    model = run.model.extra
    assert len(scales) == 2
    assert scales[0] != scales[1]
    from gpvae_core.inference.gp_prior.model import GPModel

    assert isinstance(model, GPModel)
    best = max(run.metrics, key=lambda row: row["validation_elbo"])["epoch"]
    assert scales[best - 1] == pytest.approx(model.prior.figures()["matern(time).length_scale"])
