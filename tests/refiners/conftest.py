"""A small VAE trained on digits, whose answers are refined."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.vae import VAE

DATA = DataConfig(name="digits")


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"epochs": 25, "net.hidden": 32, "latent_dim": 2, "lr": 4e-3}
    data = load(DATA)
    return train(
        make_config("vae", DATA, data.event_shape, settings), tmp_path_factory.mktemp("runs") / "vae", data=data
    )


@pytest.fixture
def vae(vae_run: Path) -> VAE:
    return load_run(vae_run, device="cpu").model


@pytest.fixture(scope="session")
def x() -> Tensor:
    return load(DATA).test.pixels(slice(40))
