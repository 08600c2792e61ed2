"""Runs trained with MAPA on images: what is loaded has a flow before its decoder, and others can train on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpvae_core import load_run
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.priors.pushforward import Pushforward
from gpvae_core.run_files import read_json
from gpvae_core.training import train

DATA = DataConfig(name="digits")
SMALL = {"net.hidden": 16, "train.epochs": 1, "recovery_epochs": 2, "encoder_epochs": 2, "bandwidth": 0.3}
FLOW = {"prior.kind": "flow", "transforms": 2, "flow_hidden": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load(DATA)
    config = make_config("mapa:5", DATA, data.event_shape, {**SMALL, **FLOW})
    return train(config, tmp_path_factory.mktemp("recovery") / "mapa", data=data)


def test_the_run_is_a_vae_with_a_flow_before_its_decoder(run: Path) -> None:
    loaded = load_run(run)
    assert isinstance(loaded.model.decoder, Pushforward)
    x = loaded.data.test.pixels(np.arange(2))
    assert all(np.isfinite(t.log_px) for t in loaded.true_posterior(x))  # pyright: ignore[reportGeneralTypeIssues]
    figures = read_json(next((run / "best").rglob("state.json")))["finish"]
    assert {"flow", "kernel_density", "one_gaussian", "normal", "mean_error"} < set(figures)


def test_an_encoder_is_trained_on_its_decoder(run: Path, tmp_path: Path) -> None:
    given = load_run(run)
    config = make_config("vae", DATA, given.data.event_shape, {"train.epochs": 1}, decoder_of=given.config)
    assert config.prior == given.config.prior
    after = load_run(train(config, tmp_path / "vae", data=given.data, decoder_from=(str(run), given.model)))
    assert after.decoder_fingerprint == given.decoder_fingerprint
    x = given.data.test.pixels(np.arange(2))
    left, right = (one.true_posterior(x) for one in (given, after))
    assert [t.log_px for t in left] == [t.log_px for t in right]  # pyright: ignore[reportGeneralTypeIssues]


def test_a_flow_is_the_default_in_two_dimensions_and_its_settings_want_it_named() -> None:
    assert make_config("mapa:5", DATA, (1, 8, 8), SMALL).prior.kind == "flow"
    assert make_config("mapa:5", DATA, (1, 8, 8), {**SMALL, "latent_dim": 1}).prior.kind == "normal"
    with pytest.raises(UserError, match=r"'prior\.transforms' belongs to another prior: this run's is 'normal'"):
        make_config("vae", DATA, (1, 8, 8), {"transforms": 2})


def test_a_plain_prior_in_two_dimensions_is_refused_before_training(tmp_path: Path) -> None:
    data = load(DATA)
    config = make_config("mapa:5", DATA, data.event_shape, {**SMALL, "prior.kind": "normal"})
    with pytest.raises(UserError, match="wants a flow before the decoder"):
        train(config, tmp_path / "run", data=data)
