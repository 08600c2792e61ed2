"""One training loop for every model: Adam, mini-batches, best on validation, early stopping, exact resume."""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gpvae_core import __version__
from gpvae_core.config import FORMAT, RunConfig, parse_config
from gpvae_core.data.base import Dataset, load
from gpvae_core.device import pick_device
from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, write_json
from gpvae_core.guards import locked, stop_on
from gpvae_core.inference.base import Inference, TrainingSetup
from gpvae_core.origins import start_from, take_decoder
from gpvae_core.progress import Cancelled, Progress, silent
from gpvae_core.run_files import (
    KEPT,
    RAW,
    Meta,
    State,
    append_metrics,
    read_config,
    read_record,
    read_tensors,
    snapshot_folder,
    truncate_metrics,
    write_snapshot,
)
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
        self.config, self.data, self.out, self.device = config, data, out, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = config.build(data.event_shape).to(device)
        self.optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], lr=config.train.lr, fused=True
        )
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.state = State(device=device.type)
        self.bound_settings = BoundSettings()
        self.trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        self.images, self.validation = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
        self.best: dict[str, Tensor] = {}
        self.unsaved: list[dict[str, Any]] = []
        self.saved_at = time.monotonic()
        self.created = self.new_folder = False

    # -- the folder -------------------------------------------------------------------------------------------------

    def create(self, origin: Mapping[str, str | None]) -> None:
        """The run folder before the first step; config.json comes last, so that a folder with one is a whole run.

        Raises:
            UserError: it cannot be written; then nothing is left of it.
        """
        self.new_folder = not self.out.exists()
        try:
            with disk_errors(str(self.out)):
                self.out.mkdir(parents=True, exist_ok=True)
            self.save()
            write_json(self.out / "meta.json", {"format": FORMAT, **self._meta(origin)})
            self.write_config()
        except UserError:
            self._discard()
            raise
        self.created = True

    def _discard(self) -> None:
        """Take back what `create` has made."""
        for path in self.out.iterdir() if self.out.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if self.new_folder and self.out.is_dir():
            self.out.rmdir()

    def write_config(self) -> None:
        write_json(self.out / "config.json", {"format": FORMAT, **self.config.to_json()})

    def _meta(self, origin: Mapping[str, str | None]) -> dict[str, Any]:
        return {
            "versions": {"gpvae_core": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "device": str(self.device),
            "seed": self.config.seed,
            "data_fingerprint": self.data.fingerprint,
            "event_shape": list(self.data.event_shape),
            "images": {
                "train": len(self.data.train),
                "validation": len(self.data.validation),
                "test": len(self.data.test),
            },
            "parameters": sum(p.numel() for p in self.model.parameters()),
            **origin,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": 0.0,
        }

    def update_meta(self) -> None:
        """Device and wall time of training as they are now."""
        meta = read_record(self.out / "meta.json", Meta).model_dump()
        changed = {"device": str(self.device), "seconds": self.state.seconds}
        write_json(self.out / "meta.json", {"format": FORMAT, **meta, **changed})

    def save(self) -> None:
        """Weights, optimizer and state of this moment; the best weights where they changed.

        Raises:
            UserError: training diverged. Then `last` keeps what it held, and the best weights so far are saved.
        """
        self._save_results()
        if not (math.isfinite(self.state.bound_sum) and all(bool(p.isfinite().all()) for p in self.model.parameters())):
            raise self._diverged()
        self.state.rng = rng_text(self.generator)
        tensors = {"weights": self.model.state_dict(), "optimizer": optimizer_tensors(self.optimizer)}
        write_snapshot(self.out / "last", tensors, {"format": FORMAT, **asdict(self.state)})
        self.saved_at = time.monotonic()

    def _save_results(self) -> None:
        """Metrics, and the best weights where they changed."""
        append_metrics(self.out / "metrics.jsonl", self.unsaved)
        self.unsaved = []
        if self.best:
            best = {"format": FORMAT, "epoch": self.state.best_epoch, "validation_elbo": self.state.best_elbo}
            write_snapshot(self.out / self._best_folder, {"weights": self.best}, best)
            self.best = {}

    @property
    def _best_folder(self) -> str:
        """Where the best weights of training are kept: nobody should take those for a model that need finishing."""
        return RAW if self.config.inference.finishes else "best"

    def _diverged(self) -> UserError:
        kept = f"the best weights, of epoch {self.state.best_epoch}, are" if self.state.best_epoch else "the start is"
        return UserError(
            f"training diverged in epoch {self.state.epoch + 1} (bound or weights are not numbers); {kept} kept in "
            f"{self.out}; a smaller --set lr=... may help"
        )

    def restore(self) -> None:
        """Go back to what `last` holds.

        Raises:
            UserError: it is missing, damaged, or does not fit the run's config.
        """
        folder = snapshot_folder(self.out / "last")
        if folder is None:
            raise UserError(f"'{self.out / 'last'}' is missing: the run is damaged or was only partly copied")
        self.state = read_record(folder / "state.json", State)
        weights, optimizer = (read_tensors(folder / f"{name}.safetensors") for name in ("weights", "optimizer"))
        try:
            self.model.load_state_dict(weights)
            load_optimizer(self.optimizer, optimizer)
            self._restore_noise()
        except (RuntimeError, ValueError, LookupError):
            raise UserError(f"'{folder}' does not fit the run's config.json: one of its files was replaced") from None
        truncate_metrics(self.out / "metrics.jsonl", self.state.epoch)

    def _restore_noise(self) -> None:
        """The generator as it was; on another kind of device the epoch begins anew, with noise of its own."""
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
        self.update_meta()

    def _begin(self, progress: Progress, stop: threading.Event) -> Inference:
        """Inference that knows the data. Where it does not fit them, a run created just now leaves nothing behind."""
        cfg = self.config
        setup = TrainingSetup(
            self.model,
            self.images,
            self.validation,
            cfg.likelihood.kind,
            cfg.train.samples,
            cfg.seed,
        )
        try:
            return cfg.inference.begin(setup, _stoppable(progress, stop))
        except UserError:
            if self.created:
                self._discard()
            raise

    def _over(self) -> bool:
        """Whether there is no epoch left to train."""
        cfg, stages = self.config.train, len(self.model.encoder.stages())
        return self.state.finished or self.state.epoch >= cfg.epochs or waited_enough(cfg, self.state, stages)

    def _finish(self, inference: Inference, progress: Progress, stop: threading.Event) -> None:
        """After the last epoch: the best weights as a model to be used, and the run is done.

        What training itself left stays in `last` and `unfinished`, so that the run can be trained longer.
        """
        if self.config.inference.finishes:
            raw = snapshot_folder(self.out / RAW)
            if raw is None:
                raise UserError(f"'{self.out / RAW}' is missing: the run is damaged or was only partly copied")
            trained = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            try:
                self.model.load_state_dict(read_tensors(raw / "weights.safetensors"))
                figures = inference.finish(_stoppable(progress, stop))
                score = validation_elbo(self.model, self.validation, self.config.seed)
                best = {"format": FORMAT, "epoch": self.state.best_epoch, "validation_elbo": score, "finish": figures}
                write_snapshot(self.out / "best", {"weights": self.model.state_dict()}, best)
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
        """The rest of the current epoch. The bound is summed on the device and read once, at the end."""
        cfg, n = self.config.train, len(self.images)
        if self.state.step == 0:
            self.state.epoch_rng = rng_text(self.generator)
        order = inference.order(self._epoch_generator())
        if self.state.step == 0:
            inference.order(self.generator)  # the noise of the steps goes on behind that of the order
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
            found = inference.step(index, self.bound_settings, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        (-found.bound.surrogate).backward()
        self.optimizer.step()
        self.state.passes += found.passes or 0
        return found.bound.value

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
        row = {
            "epoch": state.epoch,
            "train_bound": train_bound,
            "validation_elbo": score,
            "seconds": state.seconds,
        }
        if state.passes:
            row["passes"] = state.passes / len(self.images)
        state.passes = 0
        self.unsaved.append(row)
        if cfg.keep_every and state.epoch % cfg.keep_every == 0:
            kept = {"format": FORMAT, "epoch": state.epoch, "validation_elbo": score}
            write_snapshot(self.out / KEPT / str(state.epoch), {"weights": self.model.state_dict()}, kept)
        if self._over() or time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()
        if on_epoch is not None:
            on_epoch(state.epoch, self.model, row)


def _stoppable(progress: Progress, stop: threading.Event) -> Progress:
    """Progress that ends the work it reports on where a stop was asked for."""

    def report(done: int, total: int, what: str) -> None:
        progress(done, total, what)
        if stop.is_set():
            raise Cancelled

    return report


def compile_networks(model: VAE, device: torch.device) -> None:
    """Compile the network stacks; the algebra around them stays as it is.

    Raises:
        UserError: no C++ compiler, which torch.compile needs.
    """
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError(f"compile=true needs a C++ compiler for {device.type} (g++ or clang++): found none")
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            module.forward = torch.compile(module.forward)


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
        how = f", or go on with it by --resume {out}" if (out / "config.json").is_file() else ""
        raise UserError(f"'{out}' exists already: choose another --out{how}")
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
        if data.fingerprint != read_record(out / "meta.json", Meta).data_fingerprint:
            raise UserError(f"the data of '{out}' changed since it was trained: wanted the same images to resume")
        training = Training(config, data, out, pick_device(device))
        training.restore()
        if epochs is not None:
            if epochs < training.state.epoch:
                raise UserError(f"wanted --epochs of at least the {training.state.epoch} done, got {epochs}")
            training.write_config()
            training.state.finished = training.state.finished and training.state.epoch >= epochs
        training.run(progress, on_epoch, stop)
    return out


def _with_epochs(config: RunConfig, epochs: int) -> RunConfig:
    raw = config.to_json()
    raw["train"]["epochs"] = epochs
    return parse_config(raw)
