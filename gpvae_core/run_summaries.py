"""The summaries of runs on disk, read without their weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.data.base import DATASETS, parse_name
from gpvae_core.errors import UserError
from gpvae_core.files import checked_path, with_name
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_config, read_metrics, read_record, snapshot_folder
from gpvae_core.run_records import BestState, RunMetadata, TrainingState
from gpvae_core.schedule import waited_enough


@dataclass(frozen=True)
class RunSummary:
    """Progress and best score of a run: one line of `gpvae runs`.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> summaries, damaged = gpvae.list_runs(run.dir.parent)
    >>> summaries[0].dataset, summaries[0].epochs, summaries[0].finished
    ('digits', 1, True)
    """

    path: Path
    method: str
    dataset: str
    latent_dim: int
    epochs: int
    epochs_wanted: int
    best_epoch: int
    """Epoch of the best weights so far; 0 before any."""
    best_elbo: float | None
    """Best validation ELBO so far, nats. Where inference finishes the model after training (`Inference.finish`), it is
    the ELBO of the finished model, and None before that."""
    score: float | None
    """Best value so far of the score by which the best weights are chosen, nats."""
    score_name: str
    finished: bool
    """Whether training has ended, after its last epoch or by early stopping; it has not where it was stopped or killed,
    or goes on. Where only the best weights were copied, this is told from the epochs trained and `patience`."""

    conditional: bool
    """Whether the model is one of images given their auxiliary columns: a single image then has no log p(x) and no
    posterior of its own."""
    prior: str
    """Kind of the prior over the latents, such as 'gp' of a Gaussian process over the images' columns."""

    @property
    def partial(self) -> str:
        """How far a training that has not ended has come, such as 'partial, 3 of 200 epochs'; '' where it has ended."""
        return "" if self.finished else f"partial, {self.epochs} of {self.epochs_wanted} epochs"


def summarize(path: Path) -> RunSummary:
    """Return one run's summary, without reading its weights. Raises UserError if the run is damaged."""
    config = read_config(path)
    try:
        DATASETS.get(parse_name(config.data.name)[0])
    except UserError as error:
        raise UserError(f"the data of run '{path}' are not known: {error}") from None
    read_record(path / "meta.json", RunMetadata)
    folder = snapshot_folder(path / "last")
    state = _state_of_best(path, config) if folder is None else read_record(folder / "state.json", TrainingState)
    return RunSummary(
        path=path,
        method=config.method,
        dataset=config.data.name,
        latent_dim=config.latent_dim,
        epochs=state.epoch,
        epochs_wanted=config.train.epochs,
        best_epoch=state.best_epoch,
        best_elbo=_finished_elbo(path) if config.inference.finishes else state.best_elbo,
        score=state.best_elbo,
        score_name=config.inference.score_name,
        finished=state.finished,
        conditional=config.inference.conditional,
        prior=config.prior.kind,
    )


def _finished_elbo(path: Path) -> float | None:
    best = snapshot_folder(path / "best")
    return None if best is None else read_record(best / "state.json", BestState).validation_elbo


def _state_of_best(path: Path, config: RunConfig) -> TrainingState:
    """Return the progress of a run without `last`, which is only needed to go on with it.

    Raises:
        UserError: it has no best weights either, or the metrics are damaged.
    """
    folder = snapshot_folder(path / "best")
    if folder is None:
        raise UserError(f"'{path}' has no last/state.json: the run is damaged or was only partly copied")
    best, rows = read_record(folder / "state.json", BestState), read_metrics(path / "metrics.jsonl")
    epoch = max([best.epoch, *(row["epoch"] for row in rows)])
    score = max((row["validation_elbo"] for row in rows), default=best.validation_elbo)
    state = TrainingState(epoch=epoch, best_epoch=best.epoch, best_elbo=score)
    # NOTE: the stage is not known; a training of one stage, as most, is in its last.
    stopped_early = waited_enough(config.train, state, stages=1)
    state.finished = config.inference.finishes or epoch >= config.train.epochs or stopped_early
    return state


def list_runs(root: str | Path) -> tuple[list[RunSummary], list[str]]:
    """Return the summaries of the runs directly below `root`, or of the run `root`, and one line on each damaged run.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> runs, damaged = gpvae.list_runs(run.dir.parent)
    >>> runs[-1].method, damaged
    ('vae', [])
    """
    root = checked_path(root)
    runs: list[RunSummary] = []
    damaged: list[str] = []
    # NOTE: os.path.lexists asks for the name alone, so that a config.json that cannot be read is told of.
    places = [with_name(root)] if os.path.lexists(root / "config.json") else root.iterdir() if root.is_dir() else []
    folders = sorted(place for place in places if os.path.lexists(place / "config.json"))
    for folder in folders:
        try:
            runs.append(summarize(folder))
        except UserError as error:
            damaged.append(" ".join(str(error).split()))
        except OSError as error:
            damaged.append(f"'{folder}' cannot be read: {error.strerror or error}")
    return runs, damaged
