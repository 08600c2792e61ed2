"""Runs trained for the Gap Lab: more methods on a decoder, encoders of several sizes, a run that keeps its epochs.

Each is small: about STEPS gradient steps, seconds on the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpvae_core.config import make_config
from gpvae_core.errors import UserError
from gpvae_core.methods import FAMILIES, Method, methods
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_config, snapshot_folder
from gpvae_core.runs import Run, summarize
from gpvae_core.training import resume, train

STEPS, MOST_EPOCHS = 1000, 80
LR = 2e-3
SIZES = (4, 8, 16, 32, 64, 128)
KEPT_EPOCHS = 12
PLAIN = "vae"


@dataclass(frozen=True)
class PlannedTraining:
    """A run to be trained: its name, its config, and whether it keeps another's decoder."""

    name: str
    config: RunConfig


def default_epochs(origin: Run) -> int:
    """Epochs that make about STEPS steps on the run's data."""
    steps = -(-len(origin.data.train) // origin.config.train.batch_size)
    return max(1, min(MOST_EPOCHS, round(STEPS / steps)))


def planned(
    origin: Run, method: str, epochs: int | None = None, settings: dict[str, Any] | None = None
) -> PlannedTraining:
    """`method` on the frozen decoder of `origin`.

    Raises:
        UserError: an unknown method, or one that does not fit the decoder.
    """
    chosen = {"train.epochs": epochs or default_epochs(origin), "train.lr": LR, **(settings or {})}
    config = make_config(method, origin.config.data, origin.model.event_shape, chosen, decoder_of=origin.config)
    config.build(origin.model.event_shape)  # says now, not in the middle of a set, that the refiner does not fit
    return PlannedTraining(f"{origin.name}-{_file_name(method)}", config)


def teaching_set(origin: Run) -> list[PlannedTraining]:
    """Every family of posteriors that fits the decoder, by itself: no refiner, other objective or regulariser."""
    plain = Method("", "").kinds()
    families = [
        method.name
        for method in methods().values()
        if all(method.kinds()[part] == plain[part] for part in FAMILIES if part != "encoder")
    ]
    found = []
    for name in families:
        try:
            found.append(planned(origin, name))
        except UserError:
            continue  # one that wants another decoder, or images of another kind
    return found


def size_set(origin: Run) -> list[PlannedTraining]:
    """Plain Gaussian encoders of several sizes on the decoder of `origin`.

    Raises:
        UserError: the run's kind of network has no such setting.
    """
    return [
        PlannedTraining(f"{origin.name}-hidden{size}", planned(origin, PLAIN, settings={"net.hidden": size}).config)
        for size in SIZES
    ]


def epoch_run(origin: Run) -> PlannedTraining:
    """Return the method of `origin` trained anew, decoder and all, with the weights of some epochs kept."""
    epochs = default_epochs(origin)
    raw = origin.config.to_json()
    raw["train"] |= {"epochs": epochs, "lr": LR, "keep_every": max(1, epochs // KEPT_EPOCHS)}
    raw |= {"freeze_decoder": False}
    return PlannedTraining(f"{origin.name}-epochs", RunConfig.model_validate(raw))


def train_planned(root: Path, plan: Sequence[PlannedTraining], decoder: Run, progress: Progress = silent) -> list[Path]:
    """Train what is not there yet into `root`; what is finished is kept, what is unfinished goes on.

    Raises:
        Cancelled: from `progress`; the next call goes on from there.
        UserError: a folder in the way that holds something else, a full disk, a training that diverged.
    """
    return [
        _trained(root / item.name, item, decoder, _named(progress, f"{number} of {len(plan)}, {item.name}"))
        for number, item in enumerate(plan, 1)
    ]


def _trained(out: Path, item: PlannedTraining, decoder: Run, progress: Progress) -> Path:
    device = decoder.device.type
    if snapshot_folder(out / "last") is None:
        given = (decoder.name, decoder.model) if item.config.freeze_decoder else None
        return train(item.config, out, device=device, decoder_from=given, data=decoder.data, progress=progress)
    if read_config(out) != item.config:
        raise UserError(f"'{out}' holds a run with other settings: remove or rename it to train this one")
    return out if summarize(out).finished else resume(out, device=device, progress=progress)


def _named(progress: Progress, name: str) -> Progress:
    def report(done: int, total: int, what: str) -> None:
        progress(done, total, f"{what} {name}: step")

    return report


def _file_name(method: str) -> str:
    """'gp+svi:8' -> 'gp+svi8': a colon is not allowed in every file system."""
    return method.replace(":", "")
