"""The default pair: trained once, cancelled and gone on with, the GP encoder started from the VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpvae_core.inspection import default_pair
from gpvae_core.inspection.default_pair import GP_NAME, VAE_NAME, default_configs, train_default_pair
from gpvae_core.progress import Cancelled
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import load_run
from gpvae_core.vae import VAE


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAE_SETTINGS", "GP_SETTINGS"):
        monkeypatch.setattr(default_pair, name, {**getattr(default_pair, name), "train.epochs": 2, "hidden": 16})


def test_default_configs_are_a_vae_and_a_gp_encoder_on_the_digits() -> None:
    vae, gp = default_configs()
    assert (vae.method, gp.method) == ("vae", "gp")
    for config in (vae, gp):
        assert (config.data.name, config.latent_dim, config.net.kind) == ("digits", 2, "fc")


def test_a_cancelled_pair_goes_on_and_a_finished_one_is_kept(tmp_path: Path) -> None:
    epochs: list[tuple[int, str]] = []
    said: set[str] = set()

    def on_epoch(epoch: int, model: VAE, metrics: dict[str, Any]) -> None:
        epochs.append((epoch, type(model.encoder).__name__))

    def cancel(done: int, total: int, what: str) -> None:
        said.add(what)
        if GP_NAME in what and done >= 14:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_default_pair(tmp_path, cancel, on_epoch)
    assert said == {f"training 1 of 2, {VAE_NAME}: step", f"training 2 of 2, {GP_NAME}: step"}
    assert summarize(tmp_path / VAE_NAME).finished
    assert not summarize(tmp_path / GP_NAME).finished
    folders = train_default_pair(tmp_path, on_epoch=on_epoch)
    assert folders == (tmp_path / VAE_NAME, tmp_path / GP_NAME)
    assert summarize(folders[1]).finished
    assert epochs == [(e, encoder) for encoder in ("GaussianEncoder", "GPEncoder") for e in (1, 2)]
    train_default_pair(tmp_path, on_epoch=on_epoch)
    assert len(epochs) == 4


def test_the_gp_encoder_starts_from_the_vae(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {**default_pair.GP_SETTINGS, "train.epochs": 1, "train.lr": 1e-9}
    monkeypatch.setattr(default_pair, "GP_SETTINGS", tiny)
    vae, gp = (load_run(folder, "last") for folder in train_default_pair(tmp_path))
    assert gp.meta.init_from == VAE_NAME
    z = torch.randn(4, 2)
    torch.testing.assert_close(gp.model.decode(z), vae.model.decode(z), atol=1e-5, rtol=1e-5)
