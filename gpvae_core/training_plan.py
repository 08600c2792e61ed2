"""The plan of a training: what is trained on what, from which weights and into which folder, all of it checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpvae_core.config import make_config, take_data_config
from gpvae_core.data.base import Dataset, absolute_name, load, short_name
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train

DEFAULT_METHOD, DEFAULT_DATASET, DEFAULT_ROOT = "vae", "digits", Path("runs")


@dataclass(frozen=True)
class TrainingPlan:
    """A training that can start."""

    config: RunConfig
    data: Dataset
    folder: Path
    init_from: Run | None
    """The run whose weights it starts from."""
    decoder_from: Run | None
    """The run whose decoder and likelihood stay as they are."""

    def train(self, device: str | None = None, progress: Progress = silent) -> Path:
        """Train, and return the run's folder. Raises UserError and Cancelled as `training.train`."""
        start, kept = self.init_from, self.decoder_from
        return train(
            self.config,
            self.folder,
            device=device,
            init_from=(str(start.dir), start.model) if start else None,
            decoder_from=(str(kept.dir), kept.model) if kept else None,
            data=self.data,
            progress=progress,
        )


def plan_training(
    method: str | None = None,
    dataset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
    init_from: Path | None = None,
    decoder_from: Path | None = None,
    out: Path | None = None,
) -> TrainingPlan:
    """Load the data, build the configuration and find a folder.

    Args:
        method: a name such as 'gp' or 'iaf:4+iwae:10'; by default the plain VAE.
        dataset: by default that of the run whose decoder is kept, else the digits.
        settings: values by dotted keys, or by the last part of a key where only one setting has it.
        out: by default `runs/DATASET-METHOD-dD-sSEED`, with a number behind it where that is taken.

    Raises:
        UserError: an unknown name or setting, missing data, a run that cannot be loaded or makes images of another
            shape.
    """
    kept = load_run(decoder_from, device="cpu") if decoder_from else None
    overrides = dict(settings or {})
    name = dataset if dataset is not None else kept.config.data.name if kept else DEFAULT_DATASET
    data_config = take_data_config(absolute_name(name), overrides, kept.config.data if kept else None)
    data = load(data_config)
    if kept is not None and data.event_shape != kept.model.event_shape:
        raise UserError(
            f"the decoder of '{decoder_from}' makes images of shape {kept.model.event_shape}: wanted a data set of "
            f"such images, got '{name}' with {data.event_shape}"
        )
    wanted = DEFAULT_METHOD if method is None else method
    config = make_config(wanted, data_config, data.event_shape, overrides, preset, kept.config if kept else None)
    start = load_run(init_from, device="cpu") if init_from else None
    stem = f"{short_name(name)}-{config.method}-d{config.latent_dim}-s{config.seed}"
    return TrainingPlan(config, data, out or free_folder(DEFAULT_ROOT, stem), start, kept)


def free_folder(root: Path, stem: str) -> Path:
    """Return `root/stem`, or the first of stem-2, stem-3, ... that is not there yet."""
    number = 1
    while (root / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return root / (stem if number == 1 else f"{stem}-{number}")
