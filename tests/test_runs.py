"""The Python interface: one image or a batch, asked of a run trained on real digits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gpvae_core
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.gp_posterior import GPPosterior
from gpvae_core.errors import UserError
from gpvae_core.run_summaries import list_runs
from gpvae_core.runs import Run
from gpvae_core.training import train
from gpvae_core.truth.grid import GridPosterior

DATA = DataConfig(name="digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load(DATA)
    config = make_config("gp", DATA, data.event_shape, {"epochs": 12, "net.hidden": 32, "lr": 2e-3})
    return train(config, tmp_path_factory.mktemp("runs") / "gp", data=data)


@pytest.fixture
def run(folder: Path) -> Run:
    return gpvae_core.load_run(folder)


def test_a_run_has_its_model_config_and_data(run: Run) -> None:
    assert run.name == "gp"
    assert run.config.method == "gp"
    assert run.data.event_shape == (1, 8, 8)
    assert len(run.metrics) == 12
    assert not run.model.training
    assert run.meta.data_fingerprint == run.data.fingerprint


def test_one_image_is_a_batch_of_one(run: Run) -> None:
    x = run.data.test.pixels(np.arange(3))
    batch, single = run.posterior(x), run.posterior(x[1])
    assert isinstance(batch, GPPosterior)
    assert batch.mean.shape == (3, 2)
    assert torch.allclose(batch.mean[1], single.mean[0], atol=1e-5)
    gaps, gap = run.gaps(x), run.gaps(x[1])
    assert gaps.elbo.shape == (3,)
    assert gap.log_px[0] == pytest.approx(gaps.log_px[1], abs=1e-3)
    truth, one = run.true_posterior(x), run.true_posterior(x[1])
    assert isinstance(truth, list)
    assert isinstance(one, GridPosterior)
    assert one.log_px == pytest.approx(truth[1].log_px, abs=1e-6)


def test_the_parts_of_the_gap_add_up_and_none_is_negative(run: Run) -> None:
    gaps = run.gaps(run.data.test.pixels(np.arange(12)))
    assert np.allclose(gaps.approximation + gaps.amortization, gaps.inference, atol=1e-6)
    assert np.all(gaps.approximation > -0.1)
    assert np.all(gaps.amortization > -1e-6)


def test_best_and_last_weights_can_be_chosen(folder: Path) -> None:
    best, last = (gpvae_core.load_run(folder, weights=weights) for weights in ("best", "last"))
    assert best.model.state_dict().keys() == last.model.state_dict().keys()


def test_wrong_images_are_refused(run: Run) -> None:
    for question in (run.posterior, run.gaps, run.true_posterior):
        with pytest.raises(UserError, match="wanted images of shape"):
            question(torch.rand(1, 28, 28))


def test_quadrature_needs_one_or_two_dimensions(tmp_path: Path) -> None:
    data = load(DATA)
    config = make_config("vae", DATA, data.event_shape, {"epochs": 1, "net.hidden": 16, "latent_dim": 3})
    run = gpvae_core.load_run(train(config, tmp_path / "vae3", data=data))
    with pytest.raises(UserError, match="1 or 2 latent dimensions, this one has 3"):
        run.true_posterior(run.data.test.pixels(np.arange(1)))
    gaps = run.gaps(run.data.test.pixels(np.arange(2)))
    assert gaps.truth == "ais"
    assert np.all(gaps.inference > 0)


def test_runs_are_listed(folder: Path) -> None:
    runs, damaged = list_runs(folder.parent)
    assert [(run.path, run.method, run.epochs) for run in runs] == [(folder, "gp", 12)]
    assert damaged == []
    assert list_runs(folder.parent / "nothing") == ([], [])


def test_importing_the_package_is_light() -> None:
    check = "import sys, gpvae_core; assert 'torch' not in sys.modules and 'panel' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[1])
