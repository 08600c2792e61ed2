"""Runs made without training: a linear-Gaussian one whose truth is known, and one on the digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, Dataset, Split, load
from gpvae_core.run_config import RunConfig
from gpvae_core.run_records import RunMetadata
from gpvae_core.runs import Run
from gpvae_core.vae import VAE
from tests.oracles import LinearEncoder, LinearGaussianVAE

SHAPE = (1, 4, 4)


def make_run(folder: Path, config: RunConfig, model: VAE, data: Dataset) -> Run:
    """A run of this model and data, as load_run would give it."""
    meta = RunMetadata(data_fingerprint=data.fingerprint, event_shape=data.event_shape)
    run = Run(folder, config, model.eval().requires_grad_(False), meta, torch.device("cpu"))
    run._data = data
    return run


@dataclass(frozen=True)
class LinearRun:
    """A run whose posterior is known, and the prior draws that its noise-free training images were made of."""

    run: Run
    oracle: LinearGaussianVAE
    train_z: torch.Tensor


@pytest.fixture
def linear_run(tmp_path: Path) -> Callable[..., LinearRun]:
    """Codes are exact prior draws: training images are W z + bias, and the encoder's mean inverts that."""

    def make(
        latent_dim: int, n_train: int = 200, n_test: int = 12, sigma_x: float = 0.5, invert: bool = True
    ) -> LinearRun:
        oracle = LinearGaussianVAE.make(latent_dim, SHAPE, sigma_x)
        z = torch.randn(n_train, latent_dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        train = (z @ oracle.w.T + oracle.bias).float().reshape(-1, *SHAPE)
        model = oracle.vae(std=torch.linspace(0.2, 0.5, latent_dim, dtype=torch.float64))
        if invert:
            assert isinstance(model.encoder, LinearEncoder)
            model.encoder.a.copy_(torch.linalg.pinv(oracle.w))
        validation, test = oracle.images(20, seed=5), oracle.images(n_test, seed=7)
        splits = _split(train), _split(validation), _split(test)
        data = Dataset("linear", splits[0], splits[1], splits[2], ("even", "odd"), SHAPE, fingerprint="linear")
        config = make_config("vae", DataConfig(name="digits"), SHAPE, {"latent_dim": latent_dim})
        return LinearRun(make_run(tmp_path / f"linear{latent_dim}", config, model, data), oracle, z)

    return make


def log_normal(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(z; mean, covariance) of z (..., D), in nats."""
    away = z - mean
    square = (away * np.linalg.solve(covariance, away[..., None])[..., 0]).sum(-1)
    return -0.5 * (square + np.linalg.slogdet(2 * np.pi * covariance)[1])


def _split(images: torch.Tensor) -> Split:
    return Split(images.numpy(), np.arange(len(images)) % 2, levels=1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load(DataConfig(name="digits"))


@pytest.fixture
def digits_run(tmp_path: Path, digits: Dataset) -> Callable[..., Run]:
    """An untrained model on the digits with a few test images."""

    def make(method: str = "gp", latent_dim: int = 2, n_test: int = 24, seed: int = 0) -> Run:
        few = Dataset(
            digits.name,
            digits.train,
            digits.validation,
            digits.test.take(np.arange(n_test)),
            digits.class_names,
            digits.event_shape,
            f"{digits.fingerprint} {n_test}",
        )
        config = make_config(
            method, DataConfig(name="digits"), digits.event_shape, {"latent_dim": latent_dim, "hidden": 32}
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = config.build(digits.event_shape)
        return make_run(tmp_path / f"{method}{latent_dim}", config, model, few)

    return make
