"""The folder of a run in training. A kill at any moment leaves the last complete state in it."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpvae_core import __version__
from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, write_json
from gpvae_core.peak import peak_bytes
from gpvae_core.run_config import FORMAT, RunConfig
from gpvae_core.run_files import (
    EPOCHS,
    UNFINISHED,
    load_weights,
    most_bytes,
    read_config,
    read_metrics,
    read_record,
    read_snapshot,
    snapshot_folder,
    truncate_metrics,
    write_snapshot,
)
from gpvae_core.run_records import RunMetadata, TrainingState
from gpvae_core.vae import VAE

Tensors = Mapping[str, Tensor]
BEGINNING = {"metrics.jsonl", "last", ".last.new", "meta.json", ".meta.json.tmp", ".config.json.tmp"}
"""All that `RunFolder.create` may have written when it is killed before config.json is there."""
SNAPSHOT = {"state.json", ".state.json.tmp", "weights.safetensors", "optimizer.safetensors"}
"""The files of the snapshot among them."""


def holds_no_run(folder: Path) -> bool:
    """Return whether a folder is empty, or holds only what `RunFolder.create` writes before the first step."""
    if not folder.is_dir():
        return False
    for path in folder.iterdir():
        if path.is_dir():
            known = {inner.name for inner in path.iterdir()} <= SNAPSHOT
        else:
            known = path.name != "metrics.jsonl" or path.stat().st_size == 0
        if path.name not in BEGINNING or path.is_symlink() or not known:
            return False
    record = folder / "last" / "state.json"
    if not record.exists():
        return True
    try:
        state = read_record(record, TrainingState)
    except UserError:  # damaged: nobody knows how long it was trained
        return False
    return state.epoch == state.step == 0


class RunFolder:
    """The run folder that a training reads and writes."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path, self.config = path, config
        self._is_new = False
        self._created = False

    def create(self, meta: Mapping[str, Any], save: Callable[[], None]) -> None:
        """Create the run folder before the first step of training.

        config.json is written last: a folder that has one is a complete run.

        Raises:
            UserError: the folder cannot be written; everything written so far is then removed.
        """
        self._is_new = not self.path.exists()
        try:
            with disk_errors(str(self.path)):
                self._clear()  # of what a training left that was killed before its first step
                self.path.mkdir(parents=True, exist_ok=True)
            save()
            write_json(self.path / "meta.json", {"format": FORMAT, **meta})
            self.write_config(self.config)
        except UserError:
            self._discard()
            raise
        self._created = True

    def undo_create(self) -> bool:
        """Remove the run if this object created it, and return whether it did; a run that existed before stays."""
        if self._created:
            self._discard()
        return self._created

    def what_is_left(self, best_epoch: int) -> str:
        """Return in words what is left of a training that cannot go on.

        A new run that has completed no epoch is removed, as its start follows from the seed.
        """
        if best_epoch:
            return f"the best weights, of epoch {best_epoch}, are kept in {self.path}"
        if self.undo_create():
            return f"no epoch was completed, so {self.path} is removed"
        return f"the start is kept in {self.path}"

    def _clear(self) -> None:
        for path in self.path.iterdir() if self.path.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _discard(self) -> None:
        self._clear()
        if self._is_new and self.path.is_dir():
            self.path.rmdir()

    def write_config(self, config: RunConfig) -> None:
        write_json(self.path / "config.json", {"format": FORMAT, **config.to_json()})

    def update_meta(self, device: torch.device, seconds: float) -> None:
        """Write the device, the wall time of training, in seconds, and the peak memory into meta.json."""
        meta = read_record(self.path / "meta.json", RunMetadata).model_dump(exclude_unset=True)
        used = {"device": str(device), "seconds": seconds}
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_bytes()
        if peak is not None:
            used["peak_memory"] = max(peak, meta.get("peak_memory") or 0)
        write_json(self.path / "meta.json", {"format": FORMAT, **meta, **used})

    def write_last(self, weights: Tensors, optimizer: Tensors, state: TrainingState) -> None:
        """Replace the snapshot from which training resumes: weights, optimizer and progress."""
        tensors = {"weights": weights, "optimizer": optimizer}
        write_snapshot(self.path / "last", tensors, {"format": FORMAT, **asdict(state)})

    def read_last(self, model: VAE) -> tuple[Path, TrainingState, dict[str, Tensor]]:
        """Load the weights from which training resumes; return their folder, the progress and the optimizer's state.

        The other files that a resumed run reads or changes are read as well, so that it finds no damage on its way.

        Raises:
            UserError: a file is missing or damaged, or does not fit the run's config.
        """
        folder = self._snapshot("last")
        state = read_record(folder / "state.json", TrainingState)
        load_weights(model, folder)
        optimizer = read_snapshot(folder, "optimizer", most_bytes(model))
        read_record(self.path / "meta.json", RunMetadata)
        read_metrics(self.path / "metrics.jsonl")
        return folder, state, optimizer

    def go_on(self, epoch: int) -> None:
        """Write the settings if they changed, and remove the metrics after `epoch`, which is trained again."""
        if read_config(self.path) != self.config:
            self.write_config(self.config)
        truncate_metrics(self.path / "metrics.jsonl", epoch)

    def write_best(self, weights: Tensors, epoch: int, score: float | None) -> None:
        """Write the best weights of training, into `unfinished` if inference must finish them before they are used."""
        name = UNFINISHED if self.config.inference.finishes else "best"
        record = {"format": FORMAT, "epoch": epoch, "validation_elbo": score}
        write_snapshot(self.path / name, {"weights": weights}, record)

    def load_unfinished(self, model: VAE) -> None:
        """Load the best weights of training, for inference to finish. Raises UserError if there are none."""
        load_weights(model, self._snapshot(UNFINISHED))

    def write_finished(self, weights: Tensors, epoch: int, score: float, figures: Mapping[str, float]) -> None:
        """Write the weights that inference has finished, and the metrics of that step."""
        record = {"format": FORMAT, "epoch": epoch, "validation_elbo": score, "finish": figures}
        write_snapshot(self.path / "best", {"weights": weights}, record)

    def write_epoch(self, weights: Tensors, epoch: int, score: float) -> None:
        """Write the weights of one epoch, by which training can be inspected later."""
        record = {"format": FORMAT, "epoch": epoch, "validation_elbo": score}
        write_snapshot(self.path / EPOCHS / str(epoch), {"weights": weights}, record)

    def _snapshot(self, name: str) -> Path:
        folder = snapshot_folder(self.path / name)
        if folder is None:
            raise UserError(f"'{self.path / name}' is missing: the run is damaged or was only partly copied")
        return folder


def run_metadata(
    config: RunConfig, data: Dataset, device: torch.device, parameters: int, origin: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return the content of meta.json at the start of training: versions, device, data, size and origin."""
    return {
        "versions": {"gpvae_core": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "device": str(device),
        "seed": config.seed,
        "data_fingerprint": data.fingerprint,
        "event_shape": list(data.event_shape),
        **({"columns": [asdict(column) for column in data.columns]} if data.columns else {}),
        "images": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "parameters": parameters,
        **origin,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": 0.0,
    }
