"""One training loop for every model: Adam, mini-batches, best on validation, early stopping, exact resume."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpvae_core.compiled import compile_networks
from gpvae_core.data.base import Dataset, load
from gpvae_core.device import pick_device
from gpvae_core.errors import UserError
from gpvae_core.guards import locked, stop_on
from gpvae_core.inference.base import Inference, TrainingSetup
from gpvae_core.origins import start_from, take_decoder
from gpvae_core.progress import Cancelled, Progress, silent, stoppable
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.run_files import RunMetadata, TrainingState, append_metrics, read_config, read_record
from gpvae_core.run_folder import RunFolder, run_metadata
from gpvae_core.schedule import enter_stage, kl_weight, waited_enough
from gpvae_core.snapshots import load_optimizer, optimizer_tensors, rng_text, set_rng
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit, validation_elbo

log = logging.getLogger(__name__)
SAVE_SECONDS = 10.0
"""A kill loses at most about this much work (and one step)."""

OnEpoch = Callable[[int, VAE, dict[str, Any]], None]
"""Called after each epoch with its number (from 1), the model and the epoch's line of metrics."""


class Training:
    """A run in progress."""

    def __init__(self, config: RunConfig, data: Dataset, out: Path, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self.folder = RunFolder(out, config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = config.build(data.event_shape).to(device)
        self.optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], lr=config.train.lr, fused=True
        )
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.state = TrainingState(device=device.type)
        self.bound_settings = BoundSettings()
        self.trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        self.images, self.validation = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
        self.best: dict[str, Tensor] = {}
        self.unsaved: list[dict[str, Any]] = []
        self.saved_at = time.monotonic()

    # -- the folder -------------------------------------------------------------------------------------------------

    def create(self, origin: Mapping[str, str | None]) -> None:
        """Make the run folder before the first step. Raises UserError as `RunFolder.create`."""
        parameters = sum(p.numel() for p in self.model.parameters())
        self.folder.create(run_metadata(self.config, self.data, self.device, parameters, origin), self.save)

    def save(self) -> None:
        """Save weights, optimizer and state of this moment, and the best weights where they changed.

        Raises:
            UserError: training diverged. Then `last` keeps what it held, and the best weights so far are saved.
        """
        self._save_results()
        if not (math.isfinite(self.state.bound_sum) and all(bool(p.isfinite().all()) for p in self.model.parameters())):
            raise self._diverged()
        self.state.rng = rng_text(self.generator)
        self.folder.write_last(self.model.state_dict(), optimizer_tensors(self.optimizer), self.state)
        self.saved_at = time.monotonic()

    def _save_results(self) -> None:
        """Save the metrics, and the best weights where they changed."""
        append_metrics(self.folder.path / "metrics.jsonl", self.unsaved)
        self.unsaved = []
        if self.best:
            self.folder.write_best(self.best, self.state.best_epoch, self.state.best_elbo)
            self.best = {}

    def _diverged(self) -> UserError:
        kept = f"the best weights, of epoch {self.state.best_epoch}, are" if self.state.best_epoch else "the start is"
        return UserError(
            f"training diverged in epoch {self.state.epoch + 1} (bound or weights are not numbers); {kept} kept in "
            f"{self.folder.path}; a smaller --set lr=... may help"
        )

    def restore(self) -> None:
        """Go back to what `last` holds.

        Raises:
            UserError: it is missing, damaged, or does not fit the run's config.
        """
        folder, self.state, weights, optimizer = self.folder.read_last()
        try:
            self.model.load_state_dict(weights)
            load_optimizer(self.optimizer, optimizer)
            self._restore_noise()
        except (RuntimeError, ValueError, LookupError):
            raise UserError(f"'{folder}' does not fit the run's config.json: one of its files was replaced") from None
        self.folder.drop_metrics_after(self.state.epoch)

    def _restore_noise(self) -> None:
        """Set the generator as it was; on another kind of device the epoch begins anew, with noise of its own."""
        state = self.state
        if state.device == self.device.type:
            set_rng(self.generator, state.rng)
            return
        log.warning(
            "trained on %s before, now on %s: the noise is another from here on", state.device, self.device.type
        )
        self.generator.manual_seed(self.config.seed + state.epoch + 1)
        state.device, state.step, state.bound_sum = self.device.type, 0, 0.0

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self, progress: Progress, on_epoch: OnEpoch | None, stop: threading.Event) -> None:
        """Train until the last epoch, early stopping, or a stop; what is done is saved in each case."""
        if self.config.train.compile:
            compile_networks(self.model, self.device)
        try:
            if not self.state.finished:
                inference = self._begin(progress, stop)
                while not self._over():
                    self._enter_stage()
                    self._epoch(inference, progress, stop)
                    self._end_epoch(inference, on_epoch)
                self._finish(inference, progress, stop)
        except Cancelled:
            self.save()
            raise
        self.folder.update_meta(self.device, self.state.seconds)

    def _begin(self, progress: Progress, stop: threading.Event) -> Inference:
        """Prepare inference for the data. Where it does not fit them, a run created just now leaves nothing behind."""
        cfg = self.config
        data = self.images, self.validation
        setup = TrainingSetup(self.model, *data, cfg.likelihood.kind, cfg.train.samples, cfg.seed)
        try:
            return cfg.inference.begin(setup, stoppable(progress, stop))
        except UserError:
            self.folder.undo_create()
            raise

    def _over(self) -> bool:
        """Return whether there is no epoch left to train."""
        cfg, stages = self.config.train, len(self.model.encoder.stages())
        return self.state.finished or self.state.epoch >= cfg.epochs or waited_enough(cfg, self.state, stages)

    def _finish(self, inference: Inference, progress: Progress, stop: threading.Event) -> None:
        """Make the best weights a model to be used, after the last epoch; then the run is done.

        What training itself left stays in `last` and `unfinished`, so that the run can be trained longer.
        """
        if self.config.inference.finishes:
            trained = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            try:
                self.model.load_state_dict(self.folder.read_unfinished())
                figures = inference.finish(stoppable(progress, stop))
                score = validation_elbo(self.model, self.validation, self.config.seed)
                self.folder.write_finished(self.model.state_dict(), self.state.best_epoch, score, figures)
            finally:
                self.model.load_state_dict(trained)
        self.state.finished = True
        self.save()

    def _enter_stage(self) -> None:
        """Let the parameters move that the encoder's stage of this epoch names."""
        stage = enter_stage(self.model.encoder.stages(), self.state, self.config.train.epochs)
        if stage.enter is not None:
            stage.enter()
        parameters = dict(self.model.named_parameters())
        for name in self.trained:
            parameters[name].requires_grad_(name.startswith(stage.parameters))
        cfg = self.config
        weight = kl_weight(cfg.train, self.state.epoch)
        self.bound_settings = BoundSettings(cfg.objective, cfg.regulariser, weight, stage.reward)

    def _epoch(self, inference: Inference, progress: Progress, stop: threading.Event) -> None:
        """Train the rest of the current epoch. The bound is summed on the device and read once, at the end."""
        cfg, n = self.config.train, len(self.images)
        if self.state.step == 0:
            self.state.epoch_rng = rng_text(self.generator)
        order = inference.order(self._epoch_generator())
        if self.state.step == 0:
            inference.order(self.generator)  # NOTE: the noise of the steps goes on behind that of the order
        steps = -(-n // cfg.batch_size)
        bound_sum = torch.tensor(self.state.bound_sum, device=self.device)
        started, before = time.monotonic(), self.state.seconds
        self.model.train()
        try:
            while self.state.step < steps:
                index = order[self.state.step * cfg.batch_size : (self.state.step + 1) * cfg.batch_size]
                bound_sum += self._step(inference, index).sum()
                self.state.step += 1
                progress(self.state.epoch * steps + self.state.step, cfg.epochs * steps, "training")
                if stop.is_set():
                    raise Cancelled
                if time.monotonic() - self.saved_at > SAVE_SECONDS:
                    self.state.bound_sum = float(bound_sum)
                    self.save()
        finally:
            self.state.bound_sum = float(bound_sum)
            self.state.seconds = before + time.monotonic() - started

    def _epoch_generator(self) -> torch.Generator:
        generator = torch.Generator(self.device)
        set_rng(generator, self.state.epoch_rng)
        return generator

    def _step(self, inference: Inference, index: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.train.bfloat16):
            step = inference.step(index, self.bound_settings, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        (-step.bound.surrogate).backward()
        self.optimizer.step()
        self.state.passes += step.passes or 0
        return step.bound.value

    def _end_epoch(self, inference: Inference, on_epoch: OnEpoch | None) -> None:
        state, cfg = self.state, self.config.train
        train_bound = state.bound_sum / len(self.images)
        score = inference.score()
        if not (math.isfinite(train_bound) and math.isfinite(score)):
            self._save_results()
            raise self._diverged()
        state.epoch, state.step, state.bound_sum = state.epoch + 1, 0, 0.0
        if state.best_elbo is None or score > state.best_elbo:
            state.best_elbo, state.best_epoch = score, state.epoch
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        row = {"epoch": state.epoch, "train_bound": train_bound, "validation_elbo": score, "seconds": state.seconds}
        if state.passes:
            row["passes"] = state.passes / len(self.images)
        state.passes = 0
        self.unsaved.append(row)
        if cfg.keep_every and state.epoch % cfg.keep_every == 0:
            self.folder.write_epoch(self.model.state_dict(), state.epoch, score)
        if self._over() or time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()
        if on_epoch is not None:
            on_epoch(state.epoch, self.model, row)


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
    """Train a new run into `out` (which must not hold one) and return it.

    Args:
        init_from: name and model of a trained run from whose decoder, likelihood and encoder this one starts.
        decoder_from: name and model of the run whose decoder and likelihood a config with `freeze_decoder` keeps.
        data: the data set of `config.data`, where the caller has loaded it already.

    Raises:
        UserError: `out` is taken, the disk is full, the model to start from does not fit, training diverged.
        Cancelled: stopped by Ctrl-C or from `progress`; `resume(out)` goes on to the same weights.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        resume_it = f", or go on with it by --resume {out}" if (out / "config.json").is_file() else ""
        raise UserError(f"'{out}' exists already: choose another --out{resume_it}")
    with locked(out), stop_on(signal.SIGINT) as stop:
        training = Training(config, data or load(config.data), out, pick_device(device))
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
    """Go on with a stopped run; it ends with the same weights as one that was never stopped.

    Args:
        epochs: a new total, to train a finished run longer.

    Raises:
        UserError: no run, a damaged one, other data than it was trained on, fewer `epochs` than are done.
        Cancelled: stopped again.
    """
    config = read_config(out)
    if epochs is not None:
        config = _with_epochs(config, epochs)
    with locked(out), stop_on(signal.SIGINT) as stop:
        data = load(config.data)
        if data.fingerprint != read_record(out / "meta.json", RunMetadata).data_fingerprint:
            raise UserError(f"the data of '{out}' changed since it was trained: wanted the same images to resume")
        training = Training(config, data, out, pick_device(device))
        training.restore()
        if epochs is not None:
            if epochs < training.state.epoch:
                raise UserError(f"wanted --epochs of at least the {training.state.epoch} done, got {epochs}")
            training.folder.write_config(config)
            training.state.finished = training.state.finished and training.state.epoch >= epochs
        training.run(progress, on_epoch, stop)
    return out


def _with_epochs(config: RunConfig, epochs: int) -> RunConfig:
    raw = config.to_json()
    raw["train"]["epochs"] = epochs
    return parse_config(raw)
