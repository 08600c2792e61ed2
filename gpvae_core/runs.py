"""A trained run: load it, ask it for a posterior, the truth and the gaps."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gpvae_core.config import RunConfig, parse_config
from gpvae_core.data.base import Dataset, load
from gpvae_core.device import pick_device
from gpvae_core.encoders.base import Posterior
from gpvae_core.errors import UserError, nearest
from gpvae_core.gaps import GapTable, instance_gaps
from gpvae_core.run_files import check_format, read_json, read_metrics, read_tensors, snapshot_folder
from gpvae_core.truth.grid import Atlas, GridPosterior, true_posteriors
from gpvae_core.types import as_images
from gpvae_core.vae import VAE

Which = Literal["best", "last"]


@dataclass(frozen=True)
class RunSummary:
    """One line of `gpvae runs`."""

    path: Path
    method: str
    dataset: str
    latent_dim: int
    epochs: int
    epochs_wanted: int
    best_elbo: float | None
    """Best validation ELBO so far, nats."""
    finished: bool


class Run:
    """What `load_run` gives: model, config, data, and the questions one asks of them."""

    def __init__(self, folder: Path, config: RunConfig, model: VAE, meta: dict[str, Any], device: torch.device) -> None:
        self.dir, self.config, self.model, self.meta, self.device = folder, config, model, meta, device
        self._data_lock = threading.Lock()
        self._data: Dataset | None = None

    @property
    def name(self) -> str:
        return self.dir.name

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One entry an epoch: train_bound and validation_elbo in nats, seconds."""
        return read_metrics(self.dir / "metrics.jsonl")

    @property
    def data(self) -> Dataset:
        """The data set, loaded at the first use. Raises UserError where it is not the one the run was trained on."""
        with self._data_lock:
            if self._data is None:
                data = load(self.config.data)
                if data.fingerprint != self.meta.get("data_fingerprint"):
                    raise UserError(f"the data set '{data.name}' is not the one that run '{self.name}' was trained on")
                self._data = data
            return self._data

    @cached_property
    def atlas(self) -> Atlas:
        """The decoded latent grid (d = 2), made at the first use and shared by every instance."""
        return Atlas.build(self.model)

    def _images(self, x: Tensor) -> Tensor:
        return as_images(torch.as_tensor(x), self.model.event_shape).to(self.device)

    @torch.no_grad()
    def posterior(self, x: Tensor) -> Posterior:
        """q(z|x) of one image (C,H,W) or a batch (B,C,H,W) of pixels in [0, 1]; a batch of 1 for one image."""
        return self.model.encoder(self._images(x))

    def gaps(self, x: Tensor, seed: int = 0) -> GapTable:
        """Inference, approximation and amortization gap of each image, in nats."""
        atlas = self.atlas if self.model.latent_dim == 2 else None
        return instance_gaps(self.model, self._images(x), atlas=atlas, seed=seed)

    def true_posterior(self, x: Tensor) -> GridPosterior | list[GridPosterior]:
        """p(z|x) by quadrature on a checked grid: one for one image, a list for a batch. Raises UserError if d != 2."""
        found = true_posteriors(self.model, self.atlas, self._images(x))
        return found[0] if torch.as_tensor(x).ndim == len(self.model.event_shape) else found


def _existing_run(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    close = nearest(folder.name, siblings)
    raise UserError(f"there is no run '{folder}'" + (f"; did you mean '{folder.parent / close}'?" if close else ""))


def load_run(folder: str | Path, which: Which = "best", device: str | None = None) -> Run:
    """The run in `folder` with its best (on validation) or last weights, ready to be asked.

    Raises:
        UserError: no such run, a damaged one, one from a newer version, or one without a finished epoch.
    """
    path = _existing_run(Path(folder))
    raw = read_json(path / "config.json")
    check_format(raw, path)
    raw.pop("format")
    meta = read_json(path / "meta.json")
    check_format(meta, path)
    config = _parse_stored(raw, path)
    event_shape = tuple(meta["event_shape"])
    target = pick_device(device)
    with torch.random.fork_rng(devices=[]):
        model = config.build(event_shape)
    snapshot = snapshot_folder(path / which)
    if snapshot is None:
        raise UserError(f"run '{path}' has no {which} weights yet: go on with it by gpvae train --resume {path}")
    try:
        model.load_state_dict(read_tensors(snapshot / "weights.safetensors"))
    except RuntimeError:
        raise UserError(f"the weights of '{path}' do not fit its config.json: one of the two was replaced") from None
    return Run(path, config, model.to(target).eval().requires_grad_(False), meta, target)


def _parse_stored(raw: dict[str, Any], path: Path) -> RunConfig:
    try:
        return parse_config(raw)
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"'{path / 'config.json'}' is damaged or not from this version: {error}") from None


def summarize(path: Path) -> RunSummary:
    """One run's summary, without its weights. Raises UserError where it is damaged."""
    raw = read_json(path / "config.json")
    check_format(raw, path)
    raw.pop("format")
    config = _parse_stored(raw, path)
    folder = snapshot_folder(path / "last")
    state = read_json(folder / "state.json") if folder else {}
    return RunSummary(
        path=path,
        method=config.method,
        dataset=config.data.name,
        latent_dim=config.latent_dim,
        epochs=int(state.get("epoch", 0)),
        epochs_wanted=config.train.epochs,
        best_elbo=state.get("best_elbo"),
        finished=bool(state.get("finished", False)),
    )


def list_runs(root: Path) -> tuple[list[RunSummary], list[str]]:
    """The runs directly below `root`, and one line for each damaged one."""
    runs: list[RunSummary] = []
    damaged: list[str] = []
    folders = sorted(p for p in root.iterdir() if (p / "config.json").is_file()) if root.is_dir() else []
    for folder in folders:
        try:
            runs.append(summarize(folder))
        except UserError as error:
            damaged.append(str(error))
    return runs, damaged
