"""Encoders trained on the frozen decoder of another run; weights kept along the way; the warm-up of the KL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gpvae_core import load_run
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.hashes import hexdigest
from gpvae_core.run_config import TrainConfig
from gpvae_core.run_files import read_json
from gpvae_core.schedule import kl_weight
from gpvae_core.training import resume, train
from gpvae_core.vae import VAE

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
SMALL = {"net.hidden": 16, "latent_dim": 2}


def make(out: Path, settings: dict[str, Any]) -> Path:
    return train(make_config("vae", DATA, DIGITS.event_shape, {**SMALL, **settings}), out, data=DIGITS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("decoder") / "vae", {"train.epochs": 4, "train.keep_every": 2})


def on_decoder_of(source: Path, out: Path, method: str = "gp", epochs: int = 2) -> Path:
    given = load_run(source)
    config = make_config(method, DATA, DIGITS.event_shape, {"train.epochs": epochs}, decoder_of=given.config)
    return train(config, out, data=DIGITS, decoder_from=(str(source), given.model))


def test_only_the_encoder_is_trained(source: Path, tmp_path: Path) -> None:
    before, after = load_run(source), load_run(on_decoder_of(source, tmp_path / "gp"))
    assert after.decoder_fingerprint == before.decoder_fingerprint
    x = before.data.test.pixels(np.arange(3))
    truths = [run.true_posterior(x) for run in (before, after)]
    assert [t.log_px for t in truths[0]] == [t.log_px for t in truths[1]]  # pyright: ignore[reportGeneralTypeIssues]
    assert read_json(after.dir / "meta.json")["decoder_from"] == str(source)


def test_the_decoder_stays_frozen_when_the_run_goes_on(source: Path, tmp_path: Path) -> None:
    run = on_decoder_of(source, tmp_path / "gp", epochs=1)
    resume(run, epochs=3)
    whole = on_decoder_of(source, tmp_path / "whole", epochs=3)
    a, b = (load_run(folder, "last").model.state_dict() for folder in (run, whole))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert load_run(run).decoder_fingerprint == load_run(source).decoder_fingerprint


def test_fingerprints_tell_decoders_apart(source: Path) -> None:
    assert load_run(source, epoch=2).decoder_fingerprint != load_run(source, epoch=4).decoder_fingerprint


def test_a_fingerprint_is_of_decoder_and_likelihood_and_of_a_prior_that_is_not_standard(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(source)
    state = [*sorted(run.model.decoder.state_dict().items()), *sorted(run.model.likelihood.state_dict().items())]
    assert run.decoder_fingerprint == hexdigest(item for n, v in state for item in (n, v.numpy().tobytes()))
    fingerprints = {run.decoder_fingerprint}
    for std in (0.5, 1.0, 2.0):
        with monkeypatch.context() as patch:
            patch.setattr(
                VAE, "prior", lambda self, x, s=std: DiagonalGaussian(x.new_zeros(1, 2), x.new_full((1, 2), s))
            )
            fingerprints.add(load_run(source).decoder_fingerprint)
    assert len(fingerprints) == 3, "N(0, I) in other words is N(0, I)"


def test_weights_are_kept_along_the_way(source: Path) -> None:
    run = load_run(source)
    assert run.kept_epochs == [2, 4]
    last = load_run(source, "last").model.state_dict()
    kept = load_run(source, epoch=4).model.state_dict()
    assert all(torch.equal(last[name], kept[name]) for name in last)
    with pytest.raises(UserError, match="kept no weights of epoch 3"):
        load_run(source, epoch=3)


def test_a_frozen_decoder_must_come_from_somewhere(source: Path, tmp_path: Path) -> None:
    config = make_config("vae", DATA, DIGITS.event_shape, decoder_of=load_run(source).config)
    with pytest.raises(UserError, match="wanted the run it comes from"):
        train(config, tmp_path / "run", data=DIGITS)


def test_a_decoder_that_does_not_fit_is_one_clear_line(source: Path, tmp_path: Path) -> None:
    from gpvae_core.cli.main import app

    images = tmp_path / "other.npz"
    np.savez(images, images=np.random.default_rng(0).integers(0, 255, (30, 12, 12), dtype=np.uint8))
    arguments = ["train", "--decoder-from", str(source), "--dataset", f"array:{images}", "--out", str(tmp_path / "no")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert "makes images of shape (1, 8, 8)" in str(result.exception)
    assert not (tmp_path / "no").exists()


def test_starting_from_a_run_of_another_likelihood_is_one_clear_line(source: Path, tmp_path: Path) -> None:
    settings = {**SMALL, "likelihood.kind": "bernoulli"}
    config = make_config("vae", DATA, DIGITS.event_shape, settings)
    with pytest.raises(UserError, match="the same likelihood, Bernoulli, got one with Gaussian"):
        train(config, tmp_path / "run", data=DIGITS, init_from=(str(source), load_run(source).model))


def test_the_command_line_trains_on_a_frozen_decoder(source: Path, tmp_path: Path) -> None:
    from gpvae_core.cli.main import app

    out = tmp_path / "gp"
    arguments = ["train", "--method", "gp", "--decoder-from", str(source), "--epochs", "1", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert load_run(out).decoder_fingerprint == load_run(source).decoder_fingerprint


def test_the_weight_of_the_kl_warms_up() -> None:
    weights = [kl_weight(TrainConfig(kl_warmup=4, kl_start=0.2), epoch) for epoch in range(6)]
    assert weights == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert kl_weight(TrainConfig(), 0) == 1.0
    beta = TrainConfig(kl_weight=4, kl_warmup=2, kl_start=0.5)
    assert [kl_weight(beta, epoch) for epoch in range(4)] == pytest.approx([2.0, 3.0, 4.0, 4.0])


def test_a_heavier_kl_term_lowers_the_kl(tmp_path: Path) -> None:
    runs = {
        beta: load_run(make(tmp_path / str(beta), {"train.epochs": 12, "train.lr": 3e-3, "train.kl_weight": beta}))
        for beta in (1.0, 20.0)
    }
    x = DIGITS.test.pixels(slice(64))
    kl = {beta: float(run.model.kl(x, run.posterior(x)).mean()) for beta, run in runs.items()}
    assert kl[1.0] > 1.2 * kl[20.0]
    assert "kl_weight" not in runs[1.0].config.train.model_dump()
    assert runs[20.0].config.train.model_dump()["kl_weight"] == 20.0


def test_a_warm_up_changes_training_but_not_what_is_reported_at_its_end(tmp_path: Path) -> None:
    plain, warm = (make(tmp_path / str(n), {"train.epochs": 3, "train.kl_warmup": n}) for n in (0, 3))
    rows = [load_run(folder).metrics for folder in (plain, warm)]
    assert rows[0][0]["train_bound"] != rows[1][0]["train_bound"]
    assert abs(rows[0][-1]["validation_elbo"] - rows[1][-1]["validation_elbo"]) < 10
