"""Refined runs from training to evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from tests.short_training import evaluated

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
FEW = replace(
    DIGITS,
    train=DIGITS.train.take(np.arange(300)),
    validation=DIGITS.validation.take(np.arange(50)),
    test=DIGITS.test.take(np.arange(12)),
    fingerprint="a few of the digits",
)


def trained(method: str, folder: Path, epochs: int, **more: object) -> Run:
    settings = {"epochs": epochs, "net.hidden": 24, "latent_dim": 2, "lr": 3e-3, **more}
    return load_run(train(make_config(method, DATA, DIGITS.event_shape, settings), folder, data=FEW), device="cpu")


@pytest.mark.parametrize("method", ["sa:2", "vlae:4", "iai:3", "gp+sa:1"])
def test_trained_and_evaluated(method: str, tmp_path: Path) -> None:
    run = trained(method, tmp_path / "run", 6)
    rows = run.metrics
    assert rows[-1]["validation_elbo"] > rows[0]["validation_elbo"]
    run._data = FEW
    actual = evaluated(run, instances=3, k=20, truths=3)
    assert actual["method"] == method
    assert actual["elbo"]["mean"] <= actual["iwae"]["mean"] <= actual["log_px"]["mean"] + 0.3
    x = FEW.test.pixels(slice(5))
    q = run.posterior(x)
    assert torch.equal(q.base().base().mean, run.model.encoder(x).base().mean)


@pytest.mark.parametrize("refiner", ["svi:8", "svi:8,covariance=full", "laplace:4"])
def test_a_run_evaluated_with_another_refiner(refiner: str, vae_run: Path) -> None:
    actual = []
    for refiner_text in (None, refiner):
        run = load_run(vae_run, device="cpu", refiner=refiner_text)
        run._data = FEW
        actual.append(evaluated(run, instances=3, k=20, truths=3))
    plain, refined = actual
    assert refined["elbo"]["mean"] > plain["elbo"]["mean"]
    assert refined["iwae"]["mean"] > plain["iwae"]["mean"] - 0.05
    assert refined["log_px"]["mean"] == pytest.approx(plain["log_px"]["mean"], abs=1e-3)
