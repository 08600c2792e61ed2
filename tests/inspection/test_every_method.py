"""Every way of inference, as soon as it is registered: trained, evaluated and shown by the Explorer with no edit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import is_diagonal_gaussian
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.methods import methods
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from tests.short_training import evaluated
from tests.tidy import tidy

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
FEW = replace(DIGITS, test=DIGITS.test.take(np.arange(12)), fingerprint="a few of the digits")
VIEWS = ("map", "posterior", "traces", "reconstructions", "gaps")
PLAIN = ("elbo", "none", "amortized")
WAYS = [m.name for m in methods().values() if (m.objective, m.regulariser, m.inference) == PLAIN]


def trained(folder: Path, method: str, latent_dim: int) -> Run:
    settings = {"epochs": 2, "net.hidden": 16, "latent_dim": latent_dim, "train.lr": 2e-3}
    config = make_config(method, DATA, DIGITS.event_shape, settings)
    run = load_run(train(config, folder, data=DIGITS), device="cpu")
    run._data = FEW
    return run


@pytest.mark.parametrize("method", WAYS)
def test_a_run_is_evaluated_and_shown(method: str, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", method, 2)
    actual = evaluated(run, instances=3, k=20)
    assert actual["elbo"]["mean"] <= actual["iwae"]["mean"]
    assert actual["gaps"]["inference"]["mean"] > 0
    explorer = Explorer(run, gap_sample=2)
    explorer.prepare()
    instance = explorer.instance(3)
    for view in VIEWS:
        assert all(tidy(text) for text in explorer.to_csv(view, instance).values()), view
    shape = explorer.posterior_view(instance).gaussians[0]
    assert (shape.outline is None) is is_diagonal_gaussian(run.posterior(torch.as_tensor(instance.image)))
    assert shape.name.endswith("refined") is (run.refiner != "none")


def test_a_slice_shows_a_mixture_in_three_dimensions(tmp_path: Path) -> None:
    explorer = Explorer(trained(tmp_path / "run", "me:2", 3), gap_sample=2)
    explorer.prepare()
    shape = explorer.posterior_view(explorer.instance(3)).gaussians[0]
    assert shape.outline is not None
    assert np.all(np.nanmin(shape.outline, 0) < shape.mean)
    assert np.all(shape.mean < np.nanmax(shape.outline, 0))
