"""A small data set of irregular series with columns: images of 4x4 pixels, of which times and objects are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpvae_core.config import make_config
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.base import DataConfig, Dataset
from gpvae_core.data.split import Split, fingerprint
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.inference.conditional import ConditionalInference
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.progress import silent
from gpvae_core.run_config import RunConfig
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

SHAPE = (1, 4, 4)
CPU = torch.device("cpu")
COLUMNS = (
    Column("time", "number", unit="s"),
    Column("angle", "number", period=2 * np.pi, unit="rad"),
    Column("series", "category", names=tuple(f"series {i}" for i in range(12))),
    Column("object", "category", names=("a", "b", "c")),
    Column("place", "vector", size=2),
)
BY_TIME = {"prior.kernel": "matern(time, nu=1.5, length_scale=2)", "prior.group": "series"}
BY_OBJECT = {"condition": "angle", "identity": "object"}
BY_VIEW = {"prior.kernel": "periodic(angle) * linear(object, dim=2)"}
SMALL: dict[str, Any] = {"net.kind": "fc", "net.hidden": 8, "train.epochs": 2, "likelihood.kind": "gaussian"}


def split(series: range, seed: int) -> Split:
    """Series of 3 to 6 images at irregular times, whose brightness follows the time; in an order that mixes them."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(list(series), [3 + number % 4 for number in series])
    order = rng.permutation(len(codes))
    codes = codes[order]
    time = rng.uniform(0, 8, len(codes))
    values = {
        "time": time,
        "angle": rng.uniform(0, 2 * np.pi, len(codes)),
        "series": codes.astype(np.int64),
        "object": (codes % 3).astype(np.int64),
        "place": rng.standard_normal((len(codes), 2)),
    }
    bright = 0.5 + 0.4 * np.sin(time)[:, None, None, None] * rng.uniform(0.5, 1, (1, *SHAPE))
    return Split(bright.astype(np.float32), np.zeros(len(codes), np.int64), 1, Auxiliary(COLUMNS, values))


PARTS = split(range(6), 0), split(range(6, 8), 1), split(range(8, 12), 2)
DATA = Dataset("series", *PARTS, ("all",), SHAPE, fingerprint(*PARTS))


def config(method: str, settings: dict[str, Any]) -> RunConfig:
    """The config of a run on the series."""
    return make_config(method, DataConfig(name="digits"), SHAPE, SMALL | settings)


def model(method: str, settings: dict[str, Any], seed: int = 0) -> VAE:
    """The model before its first step."""
    cfg = config(method, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = cfg.build(SHAPE, DATA.columns)
    cfg.inference.start(vae, DATA, seed)
    return vae


def conditional(method: str, settings: dict[str, Any], vae: VAE | None = None) -> ConditionalInference:
    """Inference of a model of images given their columns on the series."""
    cfg = config(method, settings)
    vae = vae or model(method, settings)
    parts = DeviceSplit(DATA.train, CPU), DeviceSplit(DATA.validation, CPU)
    found = cfg.inference.begin(TrainingSetup(vae, *parts, cfg.likelihood.kind, 1, 0, None), silent)
    assert isinstance(found, ConditionalInference)
    return found


def inference(method: str, settings: dict[str, Any], vae: VAE | None = None) -> GPPriorInference:
    """Inference of a model with a GP prior on the series."""
    found = conditional(method, settings, vae)
    assert isinstance(found, GPPriorInference)
    return found


def trained(method: str, settings: dict[str, Any], out: Path) -> Run:
    """A run that was trained on the series, with these data in place of those of its config."""
    run = load_run(train(config(method, settings), out, data=DATA, device="cpu"), device="cpu")
    run._data = DATA
    return run
