"""The functions of the public interface that train, resume and list.

On bad input every function raises `UserError` with one line: what was expected, what came, the likely cause.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeAlias

from gpvae_core.data.base import DATASETS, DataConfig, Dataset, absolute_name, load
from gpvae_core.files import checked_path
from gpvae_core.methods import methods
from gpvae_core.part import parse_model
from gpvae_core.progress import Progress, terminal_progress
from gpvae_core.runs import Run, load_run
from gpvae_core.training import resume as resume_training
from gpvae_core.training_plan import plan_training

log = logging.getLogger(__name__)

Setting: TypeAlias = bool | int | float | str
"""Type of a setting's value; `gpvae list settings` shows all settings."""


def train(
    method: str = "vae",
    dataset: str = "digits",
    *,
    out: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    preset: str | None = None,
    init_from: str | Path | None = None,
    decoder_from: str | Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a method on a data set and return the run with its best weights.

    Args:
        method: a name from `list_methods`, or several combined by '+': 'gp', 'iaf:4', 'sa:8+iwae:10'.
        dataset: a name from `list_datasets`, or 'images:PATH', 'array:PATH.npz' or 'table:PATH' for data of your own.
        out: a new folder for the run; by default `runs/DATASET-METHOD-dD-sSEED`.
        settings: any other setting, as {'latent_dim': 10, 'epochs': 50, 'encoder.expected_kl': 'closed_form'}.
        preset: name of a paper's settings, 'kim2021'.
        init_from: a trained run whose weights initialize this one.
        decoder_from: a trained run whose decoder and likelihood are kept frozen; only an encoder is trained.
        device: 'cpu', 'cuda', 'cuda:1' or 'mps'; by default the fastest that is available.
        progress: called as training proceeds; by default a bar on standard error with the time left.

    Raises:
        UserError: a name or setting is unknown, the data are missing, the folder exists already, the disk is full, or
            training diverged.
        Cancelled: training was stopped by Ctrl-C; `resume` continues it and ends with the same weights.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", out="runs/example", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.posterior(run.data.test.pixels([0])).mean.shape
    torch.Size([1, 2])
    """
    plan = plan_training(method, dataset, settings, preset, _path(init_from), _path(decoder_from), _path(out))
    if plan.data.note:
        log.warning("%s: %s", plan.data.name, plan.data.note)
    with _progress_or_bar(progress) as report:
        return load_run(plan.train(device, report), device=device)


def resume(
    folder: str | Path, *, epochs: int | None = None, device: str | None = None, progress: Progress | None = None
) -> Run:
    """Resume a stopped run and return it; it ends with the same weights as an uninterrupted run.

    Args:
        epochs: a new total number of epochs, to train a finished run longer.

    Raises:
        UserError: the folder is not a run or is damaged, its data set has changed, or more than `epochs` epochs are
            completed already.
        Cancelled: training was stopped again.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gpvae.resume(run.dir, epochs=2, progress=gpvae.silent).config.train.epochs
    2
    """
    with _progress_or_bar(progress) as report:
        return load_run(
            resume_training(checked_path(folder), epochs=epochs, device=device, progress=report), device=device
        )


def load_dataset(name: str, **settings: Setting) -> Dataset:
    """Load the training, validation and test images of a data set.

    Args:
        settings: fields of `DataConfig`, such as split_seed=1 or size=32.

    Raises:
        UserError: the name is unknown (the message suggests the closest one), or files are missing or damaged.

    >>> import gpvae_core as gpvae
    >>> len(gpvae.load_dataset("digits").test)
    359
    """
    return load(parse_model(DataConfig, {"name": absolute_name(name), **settings}))


def list_methods() -> dict[str, str]:
    """Return the methods that `train` takes, each with a one-line summary.

    >>> import gpvae_core as gpvae
    >>> "gp" in gpvae.list_methods()
    True
    """
    return {name: method.summary for name, method in methods().items()}


def list_datasets() -> dict[str, str]:
    """Return the data sets that `train` and `load_dataset` take, each with a one-line summary.

    >>> import gpvae_core as gpvae
    >>> "mnist" in gpvae.list_datasets()
    True
    """
    return DATASETS.summaries()


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else checked_path(path)


def _progress_or_bar(progress: Progress | None) -> AbstractContextManager[Progress]:
    return terminal_progress() if progress is None else nullcontext(progress)
