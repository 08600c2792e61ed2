"""The validated plan of a training: configuration, data, initial weights and run folder."""

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
    """A validated training that is ready to start."""

    config: RunConfig
    data: Dataset
    folder: Path
    init_from: Run | None
    """The run whose weights are the initial weights."""
    decoder_from: Run | None
    """The run whose decoder and likelihood are kept fixed."""

    def train(self, device: str | None = None, progress: Progress = silent) -> Path:
        """Train, and return the run's folder; raises UserError and Cancelled as `training.train`."""
        start, decoder_run = self.init_from, self.decoder_from
        return train(
            self.config,
            self.folder,
            device=device,
            init_from=(str(start.dir), start.model) if start else None,
            decoder_from=(str(decoder_run.dir), decoder_run.model) if decoder_run else None,
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
    """Load the data, build the configuration and choose the run folder.

    Args:
        method: a name such as 'gp' or 'iaf:4+iwae:10'; by default the plain VAE.
        dataset: name of a data set; by default that of the run whose decoder is kept, else the digits.
        settings: values by dotted keys, or by the last part of a key where only one setting has it.
        preset: name of a preset of settings.
        init_from: folder of the run whose weights are the initial weights.
        decoder_from: folder of the run whose decoder and likelihood are kept fixed.
        out: run folder; by default `runs/DATASET-METHOD-dD-sSEED`, with a number appended if that exists.

    Raises:
        UserError: a name or setting is unknown, data are missing, or a run cannot be loaded or has images of another
            shape.
    """
    source = load_run(decoder_from, device="cpu") if decoder_from else None
    overrides = dict(settings or {})
    name = dataset if dataset is not None else source.config.data.name if source else DEFAULT_DATASET
    data_config = take_data_config(absolute_name(name), overrides, source.config.data if source else None)
    data = load(data_config)
    if source is not None and data.event_shape != source.model.event_shape:
        raise UserError(
            f"the decoder of '{decoder_from}' makes images of shape {source.model.event_shape}: wanted a data set of "
            f"such images, got '{name}' with {data.event_shape}"
        )
    method_name = DEFAULT_METHOD if method is None else method
    source_config = source.config if source else None
    config = make_config(method_name, data_config, data.event_shape, overrides, preset, source_config)
    start = load_run(init_from, device="cpu") if init_from else None
    stem = f"{short_name(name)}-{config.method}-d{config.latent_dim}-s{config.seed}"
    return TrainingPlan(config, data, out or free_folder(DEFAULT_ROOT, stem), start, source)


def free_folder(root: Path, stem: str) -> Path:
    """Return `root/stem`, or the first of stem-2, stem-3, ... that does not exist."""
    number = 1
    while (root / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return root / (stem if number == 1 else f"{stem}-{number}")
