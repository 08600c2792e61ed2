"""Training of all models: a new run, or a stopped one that continues to the very weights it would have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpvae_core.data.base import Dataset, load
from gpvae_core.data.observed import wants_all_pixels, wants_some_pixels
from gpvae_core.device import pick_device
from gpvae_core.errors import UserError
from gpvae_core.guards import locked, stop_on_signal
from gpvae_core.inference.base import INFERENCES
from gpvae_core.methods import methods
from gpvae_core.origins import start_from, take_decoder
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.run_files import read_config, read_record
from gpvae_core.run_folder import holds_no_run
from gpvae_core.run_records import RunMetadata
from gpvae_core.training_loop import OnEpoch, Training
from gpvae_core.vae import VAE


def train(
    config: RunConfig,
    out: Path,
    *,
    device: str | None = None,
    init_from: tuple[str, VAE] | None = None,
    decoder_from: tuple[str, VAE] | None = None,
    data: Dataset | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Train a new run into the folder `out`, which must be empty or missing, and return the folder.

    A folder in which a training was killed before its first step counts as empty.

    Args:
        init_from: name and model of a trained run whose decoder, likelihood and encoder are the initial weights.
        decoder_from: name and model of the run whose decoder and likelihood a config with `freeze_decoder` keeps.
        data: the data set of `config.data`, where the caller has loaded it already.

    Raises:
        UserError: `out` is not empty, the disk is full, pixels of the data are missing for a method that needs all, the
            initial model does not fit, or training diverged.
        Cancelled: stopped by a signal or from `progress`; `resume(out)` continues to the same weights.
    """
    with locked(out), stop_on_signal() as stop:
        _check_free(out)
        loaded = data or load(config.data)
        _check_pixels(config, loaded)
        training = Training(config, loaded, out, pick_device(device))
        if init_from is not None:
            start_from(training.model, init_from[1], config)
        if decoder_from is not None:
            take_decoder(training.model, decoder_from[1])
        elif config.freeze_decoder:
            raise UserError("this config keeps a decoder frozen: wanted the run it comes from (--decoder-from RUN)")
        training.create({"init_from": init_from and init_from[0], "decoder_from": decoder_from and decoder_from[0]})
        training.run(progress, on_epoch, stop)
    return out


def resume(
    out: Path,
    *,
    epochs: int | None = None,
    device: str | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Continue a stopped run; it ends with the same weights as a run that was never stopped.

    Args:
        epochs: a new total number of epochs, to train a finished run longer.

    Raises:
        UserError: there is no run, it is damaged, its data changed, or `epochs` is less than the epochs trained.
        Cancelled: stopped again.
    """
    config = read_config(out)
    if epochs is not None:
        config = _with_epochs(config, epochs)
    with locked(out), stop_on_signal() as stop:
        data = load(config.data)
        meta = read_record(out / "meta.json", RunMetadata)
        if (data.fingerprint, data.event_shape) != (meta.data_fingerprint, meta.event_shape):
            raise UserError(
                f"the data of '{out}' changed since it was trained, or an earlier version read them otherwise: "
                "wanted the same images to resume"
            )
        training = Training(config, data, out, pick_device(device))
        training.restore()
        if epochs is not None:
            if epochs < training.state.epoch:
                raise UserError(f"wanted --epochs of at least the {training.state.epoch} done, got {epochs}")
            training.state.finished = training.state.finished and training.state.epoch >= epochs
        training.run(progress, on_epoch, stop)
    return out


def _check_pixels(config: RunConfig, data: Dataset) -> None:
    """Raise UserError if missing pixels of the data do not suit the method."""
    if config.inference.takes_missing:
        wants_some_pixels(data)
    else:
        wants_all_pixels(data, [n for n, m in methods().items() if INFERENCES.get(m.inference).takes_missing])


def _check_free(out: Path) -> None:
    """Raise UserError if a new run in `out` would overwrite anything but the remains of a run that never began."""
    if not out.exists() or holds_no_run(out):
        return
    resume_it = f", or go on with it by gpvae train --resume {out}" if (out / "config.json").is_file() else ""
    raise UserError(f"'{out}' exists already: choose another folder (--out){resume_it}")


def _with_epochs(config: RunConfig, epochs: int) -> RunConfig:
    raw: dict[str, Any] = config.to_json()
    raw["train"]["epochs"] = epochs
    return parse_config(raw)
