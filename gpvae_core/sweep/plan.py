"""The plan of a sweep: all its trainings, checked before the first one starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import torch

from gpvae_core.config import make_config, take_data_config
from gpvae_core.data.base import DataConfig, absolute_name, load, short_name, source_of
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.sweep.config import ScoreConfig, SweepConfig, digest, run_seed
from gpvae_core.sweep.work import data_of
from gpvae_core.types import EventShape

MANY = 1000
"""With more jobs than these, of which planning takes about a second, the progress is reported."""
REPORT_EVERY = 100
"""Number of jobs that are planned between two reports of the progress."""


@dataclass(frozen=True)
class Job:
    """A training and its score."""

    config: RunConfig
    score: ScoreConfig
    split: int
    restart: int

    @cached_property
    def key(self) -> str:
        """Hash of the training's config and the score's settings, equal in every sweep."""
        return digest({"config": self.config.to_json(), "score": self.score.to_json()})

    @cached_property
    def folder(self) -> str:
        """Name of the run folder, which does not depend on the score's settings."""
        c = self.config
        words = f"{short_name(c.data.name)}-{c.method}-d{c.latent_dim}-split{self.split}-r{self.restart}"
        return f"{re.sub(r'[^A-Za-z0-9.]+', '-', words)}-{digest(c.to_json())[:10]}"

    @cached_property
    def cost_key(self) -> str:
        """Hash of the settings on which the cost of an epoch and of the score depends."""
        raw: dict[str, Any] = self.config.to_json()
        del raw["seed"], raw["data"]["split_seed"], raw["train"]["epochs"], raw["train"]["patience"]
        score = self.score.to_json()
        del score["seed"]
        return digest({"config": raw, **score})


def plan(sweep: SweepConfig, progress: Progress = silent) -> list[Job]:
    """Return all jobs of the sweep.

    All methods of one split and restart come before the next, so that a table fills evenly. A model of each data set,
    method and latent dimension is built once, so that invalid combinations are reported before any training.

    Raises:
        UserError: a data set, method, preset or setting is unknown, data are missing, or networks do not fit together.
    """
    shapes: dict[DataConfig, EventShape] = {}
    cells = [
        _checked_config(sweep, *cell, shapes) for cell in product(sweep.datasets, sweep.methods, sweep.latent_dims)
    ]
    jobs = [
        Job(_with_seeds(config, split, restart), sweep.evaluate, split, restart)
        for restart, split in product(sweep.restarts, sweep.splits)
        for config in cells
    ]
    unique: dict[str, Job] = {}  # without duplicates: two names may denote one path
    for done, job in enumerate(jobs, 1):
        unique[job.key] = job
        if len(jobs) > MANY and (done % REPORT_EVERY == 0 or done == len(jobs)):
            progress(done, len(jobs), "planning")
    return list(unique.values())


def _checked_config(
    sweep: SweepConfig, dataset: str, method: str, latent_dim: int, shapes: dict[DataConfig, EventShape]
) -> RunConfig:
    """Return the config of a data set, method and d, after building its model once as a check."""
    settings = sweep.overrides(method) | {"latent_dim": latent_dim}
    if sweep.epochs is not None:
        settings["train.epochs"] = sweep.epochs
    data = take_data_config(absolute_name(dataset), settings)
    if data not in shapes:
        shapes[data] = _event_shape(data)
    config = make_config(method, data, shapes[data], settings, sweep.preset)
    conditional = config.inference.conditional
    if conditional and sweep.evaluate.truths:
        raise UserError(
            f"method '{method}' models images given their columns, so that single ones have no log p(x): leave out "
            f"evaluate.truths={sweep.evaluate.truths}"
        )
    with torch.random.fork_rng(devices=[]):
        config.build(shapes[data], data_of(data).columns if conditional else ())
    return config


def _event_shape(data: DataConfig) -> EventShape:
    """Return the shape of an image; images are only read if the shape is not known beforehand."""
    source = source_of(data)
    known = source.shape is not None and data.size is None and source.present()
    return source.shape if known and source.shape is not None else load(data).event_shape


def _with_seeds(config: RunConfig, split: int, restart: int) -> RunConfig:
    data = config.data.model_copy(update={"split_seed": split})
    return config.model_copy(update={"data": data, "seed": run_seed(split, restart)})


def by_cell(jobs: Sequence[Job]) -> Mapping[tuple[str, str, int], list[Job]]:
    """Return the jobs of each data set, method and latent dimension."""
    out: dict[tuple[str, str, int], list[Job]] = {}
    for job in jobs:
        out.setdefault((job.config.data.name, job.config.method, job.config.latent_dim), []).append(job)
    return out
