"""Runs trained for the Gap Lab: further methods on a decoder, encoders of several sizes, a run with weights per epoch.

Each is small: about STEPS gradient steps, which take seconds on the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpvae_core.config import make_config
from gpvae_core.errors import UserError
from gpvae_core.methods import FAMILIES, Method, methods
from gpvae_core.progress import Progress, renamed, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_config
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import Run
from gpvae_core.training import resume, train

STEPS, MOST_EPOCHS = 1000, 80
LR = 2e-3
SIZES = (4, 8, 16, 32, 64, 128)
KEPT_EPOCHS = 12
PLAIN = "vae"


@dataclass(frozen=True)
class PlannedTraining:
    """A run to be trained; its config says whether it keeps the decoder of another run."""

    name: str
    config: RunConfig


def default_epochs(origin: Run) -> int:
    """Return the number of epochs with about STEPS steps on the run's data."""
    steps = -(-len(origin.data.train) // origin.config.train.batch_size)
    return max(1, min(MOST_EPOCHS, round(STEPS / steps)))


def planned(
    origin: Run, method: str, epochs: int | None = None, settings: dict[str, Any] | None = None
) -> PlannedTraining:
    """Plan a training of `method` on the frozen decoder of `origin`.

    Raises:
        UserError: the method is unknown or does not fit the decoder.
    """
    overrides = {"train.epochs": epochs or default_epochs(origin), "train.lr": LR, **(settings or {})}
    config = make_config(method, origin.config.data, origin.model.event_shape, overrides, decoder_of=origin.config)
    config.build(origin.model.event_shape)  # raises now, and not in the middle of a set, if the refiner does not fit
    return PlannedTraining(f"{origin.name}-{_file_name(method)}", config)


def teaching_set(origin: Run) -> list[PlannedTraining]:
    """Plan every family of posteriors that fits the decoder, without refiner, other objective or regulariser."""
    plain = Method("", "").kinds()
    families = [
        method.name
        for method in methods().values()
        if all(method.kinds()[part] == plain[part] for part in FAMILIES if part != "encoder")
    ]
    plans = []
    for name in families:
        try:
            plans.append(planned(origin, name))
        except UserError:
            continue  # the family needs another decoder, or images of another shape
    return plans


def size_set(origin: Run) -> list[PlannedTraining]:
    """Plan Gaussian encoders of several sizes on the decoder of `origin`.

    Raises:
        UserError: the run's network has no setting for its size.
    """
    return [
        PlannedTraining(f"{origin.name}-hidden{size}", planned(origin, PLAIN, settings={"net.hidden": size}).config)
        for size in SIZES
    ]


def epoch_run(origin: Run) -> PlannedTraining:
    """Plan a training of the method of `origin` from scratch that keeps the weights of some epochs."""
    epochs = default_epochs(origin)
    raw: dict[str, Any] = origin.config.to_json()
    raw["train"] |= {"epochs": epochs, "lr": LR, "keep_every": max(1, epochs // KEPT_EPOCHS)}
    raw |= {"freeze_decoder": False}
    return PlannedTraining(f"{origin.name}-epochs", RunConfig.model_validate(raw))


@dataclass
class TrainedPlan:
    """What became of planned trainings."""

    folders: list[Path] = field(default_factory=list)
    """Folders of the runs that are there and finished."""
    known: list[str] = field(default_factory=list)
    """Names of those that were finished before."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why each of the others could not be trained, by its name."""


def train_planned(
    root: Path, plan: Sequence[PlannedTraining], decoder: Run, progress: Progress = silent
) -> TrainedPlan:
    """Train the planned runs into `root`; finished runs are kept, unfinished ones resumed.

    A run that cannot be trained is left out, and the others go on: its folder contains another run or a damaged one,
    the disk is full, or its training diverged.

    Raises:
        Cancelled: raised by `progress`; the next call resumes the training.
        UserError: all are left out.
    """
    trained = TrainedPlan()
    for number, item in enumerate(plan, 1):
        told = renamed(progress, f"{{}} {number} of {len(plan)}, {item.name}: step")
        try:
            if _train_or_keep(root / item.name, item, decoder, told):
                trained.known.append(item.name)
            trained.folders.append(root / item.name)
        except UserError as error:
            trained.left_out[item.name] = str(error)
    if trained.left_out and not trained.folders:
        raise UserError("; ".join(dict.fromkeys(trained.left_out.values())))
    return trained


def _train_or_keep(out: Path, item: PlannedTraining, decoder: Run, progress: Progress) -> bool:
    """Train a run, or resume it; return whether it was finished before."""
    device = decoder.device.type
    if not (out / "config.json").is_file():
        frozen = (decoder.name, decoder.model) if item.config.freeze_decoder else None
        train(item.config, out, device=device, decoder_from=frozen, data=decoder.data, progress=progress)
        return False
    if read_config(out) != item.config:
        raise UserError(f"'{out}' holds a run with other settings: remove or rename it to train this one")
    if summarize(out).finished:
        return True
    resume(out, device=device, progress=progress)
    return False


def _file_name(method: str) -> str:
    """Return the method's name without colons, which some file systems do not allow: 'gp+svi:8' -> 'gp+svi8'."""
    return method.replace(":", "")
