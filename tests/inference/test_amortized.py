"""By what an amortized run's best weights are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.inference.amortized import log_px_score
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.run_files import read_metrics, read_record, snapshot_folder
from gpvae_core.run_records import BestState
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.truth.line import Line
from gpvae_core.validation import DeviceSplit, validation_elbo

DATA = load(DataConfig(name="figure-8"))
CPU = torch.device("cpu")
SETTINGS = {"inference.kept_by": "log_px", "train.epochs": 4}


def test_the_score_is_the_mean_log_px_by_quadrature(tmp_path: Path) -> None:
    config = make_config("vae", DataConfig(name="figure-8"), DATA.event_shape, {"train.epochs": 3})
    vae = load_run(train(config, tmp_path / "run", data=DATA, device="cpu"), device="cpu").model
    split = DeviceSplit(DATA.validation, CPU)
    score = log_px_score(TrainingSetup(vae, DeviceSplit(DATA.train, CPU), split, "gaussian", 1, 0, None))
    exact = Line.build(vae).log_px(DATA.validation.pixels()).mean()
    assert score == pytest.approx(float(exact), abs=2e-3)


def test_weights_are_kept_by_it_and_their_elbo_is_found_at_the_end(tmp_path: Path) -> None:
    config = make_config("iwae:5", DataConfig(name="figure-8"), DATA.event_shape, SETTINGS)
    folder = train(config, tmp_path / "run", data=DATA, device="cpu")
    rows = read_metrics(folder / "metrics.jsonl")
    best = snapshot_folder(folder / "best")
    assert best is not None
    record = read_record(best / "state.json", BestState)
    assert record.epoch == 1 + int(np.argmax([row["validation_elbo"] for row in rows]))
    run = load_run(folder, device="cpu")
    assert record.validation_elbo == pytest.approx(
        validation_elbo(run.model, DeviceSplit(DATA.validation, CPU), config.seed), abs=1e-4
    )
    assert record.validation_elbo < max(row["validation_elbo"] for row in rows)
    assert summarize(folder).score_name == "validation log p(x)"


def test_more_dimensions_are_refused_and_leave_no_folder(tmp_path: Path) -> None:
    config = make_config("vae", DataConfig(name="figure-8"), DATA.event_shape, {**SETTINGS, "latent_dim": 2})
    with pytest.raises(UserError, match="wanted latent_dim=1, got 2"):
        train(config, tmp_path / "run", data=DATA, device="cpu")
    assert not (tmp_path / "run").exists()
