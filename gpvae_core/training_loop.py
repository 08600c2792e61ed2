"""The training loop: Adam on mini-batches, stages, best weights by validation, early stopping, exact restore."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gpvae_core.allocator import keep_freed_memory
from gpvae_core.clipping import clip_gradients
from gpvae_core.compiled import compile_networks
from gpvae_core.data.base import Dataset
from gpvae_core.data.observed import wants_shares
from gpvae_core.errors import UserError
from gpvae_core.inference.base import Inference, TrainingSetup
from gpvae_core.progress import Cancelled, Progress, stoppable
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import append_metrics
from gpvae_core.run_folder import RunFolder, run_metadata
from gpvae_core.run_records import TrainingState
from gpvae_core.schedule import enter_stage, kl_weight, learning_rate, waited_enough
from gpvae_core.snapshots import load_optimizer, optimizer_tensors, rng_text, set_rng
from gpvae_core.threads import threads_for
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit, validation_elbo

log = logging.getLogger(__name__)
SAVE_SECONDS = 10.0
"""Seconds between saves; a killed run loses at most the work since the last one (and one step)."""

OnEpoch = Callable[[int, VAE, dict[str, Any]], None]
"""Function called after each epoch with its number (from 1), the model and the epoch's row of metrics."""


class Training:
    """A run in training: model, optimizer, data and state."""

    def __init__(self, config: RunConfig, data: Dataset, out: Path, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self.folder = RunFolder(out, config)
        # NOTE: layers draw their initial weights from torch's global generator; fork_rng restores its state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = config.build(data.event_shape, data.columns).to(device)
        config.inference.start(self.model, data, config.seed)
        self.optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], lr=config.train.lr, fused=True
        )
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.state = self._initial_state()
        self.bound_settings = BoundSettings()
        self.trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        self.images, self.validation = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
        self.best: dict[str, Tensor] = {}
        self.unsaved: list[dict[str, Any]] = []
        self.saved_at = time.monotonic()

    def _initial_state(self) -> TrainingState:
        return TrainingState(device=self.device.type, start_noise_scale=self.model.likelihood.noise_scale())

    # -- the run folder ---------------------------------------------------------------------------------------------

    def create(self, origin: Mapping[str, str | None]) -> None:
        """Create the run folder before the first step; raises a UserError as `RunFolder.create`."""
        self.state = self._initial_state()  # once more, as the weights may have been copied from a trained run
        parameters = sum(p.numel() for p in self.model.parameters())
        self.folder.create(run_metadata(self.config, self.data, self.device, parameters, origin), self.save)

    def save(self) -> None:
        """Save the current weights, optimizer and state, and the best weights if they changed.

        Raises:
            UserError: training diverged. `last` is then not overwritten, and the best weights so far are saved.
        """
        self._save_results()
        if not (math.isfinite(self.state.bound_sum) and self._weights_are_numbers()):
            raise self._ended(self._divergence())
        self.state.rng = rng_text(self.generator)
        self.folder.write_last(self.model.state_dict(), optimizer_tensors(self.optimizer), self.state)
        self.saved_at = time.monotonic()

    def _save_results(self) -> None:
        """Save the metrics, and the best weights if they changed."""
        append_metrics(self.folder.path / "metrics.jsonl", self.unsaved)
        self.unsaved = []
        if self.best:
            self.folder.write_best(self.best, self.state.best_epoch, self.state.best_elbo)
            self.best = {}

    def _weights_are_numbers(self) -> bool:
        """Return whether all weights, and what else a model remembers, are finite."""
        return all(bool(value.isfinite().all()) for value in self.model.state_dict().values())

    def _divergence(self) -> str:
        return (
            f"training diverged in epoch {self.state.epoch + 1} (bound or weights are not numbers): try a smaller "
            "learning rate (--set lr=...)"
        )

    def _ended(self, why: str) -> UserError:
        """Return the error of a training that cannot go on, with what is left of it."""
        return UserError(f"{why}; {self.folder.what_is_left(self.state.best_epoch)}")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Where the model refuses its own numbers, as of a matrix, save the results and say what is left of the run."""
        try:
            yield
        except UserError as error:
            self._save_results()
            raise self._ended(str(error)) from None

    def restore(self) -> None:
        """Restore weights, optimizer and state from `last`; nothing is written.

        Raises:
            UserError: a file of the run is missing, damaged, or does not fit the run's config.
        """
        # NOTE: an older run has no record of sigma_x at its start: it is the config's, with which the model is built.
        built = self.state.start_noise_scale
        folder, self.state, optimizer = self.folder.read_last(self.model)
        if self.state.start_noise_scale is None:
            self.state.start_noise_scale = built
        try:
            self._check_progress()
            load_optimizer(self.optimizer, optimizer, self.state.epoch > 0 or self.state.step > 0)
            self._restore_noise()
        except (RuntimeError, ValueError, LookupError, TypeError):
            raise UserError(f"'{folder}' does not fit the run's config.json: one of its files was replaced") from None

    def _check_progress(self) -> None:
        """Raise ValueError if the state has a stage or a step that this run does not have."""
        stages = len(self.config.inference.stages(self.model))
        if self.state.stage >= stages or self.state.step > len(self.images):
            raise ValueError(f"stage {self.state.stage} of {stages}, step {self.state.step}")

    def _restore_noise(self) -> None:
        """Restore the generator's state; on another kind of device the epoch is repeated with new noise.

        NOTE: the state of a generator cannot be transferred between kinds of devices.
        """
        state = self.state
        if state.device == self.device.type:
            set_rng(self.generator, state.rng)
            if state.step:
                self._epoch_generator()
            return
        log.warning(
            "trained on %s before, now on %s: the noise is another from here on", state.device, self.device.type
        )
        self.generator.manual_seed(self.config.seed + state.epoch + 1)
        state.device, state.step, state.bound_sum, state.passes = self.device.type, 0, 0.0, 0

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self, progress: Progress, on_epoch: OnEpoch | None, stop: threading.Event) -> None:
        """Train until the last epoch, early stopping, or a stop; the result is saved in each case."""
        multiplications = self._multiplications()  # NOTE: before compiling, as compiled networks are not counted
        if self.config.train.compile:
            compile_networks(self.model, self.device)
        try:
            inference = None if self.state.finished else self._begin(progress, stop)
            self.folder.go_on(self.state.epoch)
            if inference is not None:
                keep_freed_memory()
                with threads_for(multiplications):
                    while not self._over():
                        self._enter_stage()
                        self._epoch(inference, progress, stop)
                        self._end_epoch(inference, on_epoch)
                    self._finish(inference, progress, stop)
        except Cancelled:
            self.save()
            raise
        self.folder.update_meta(self.device, self.state.seconds)

    @torch.no_grad()
    def _multiplications(self) -> float:
        """Return the multiplications of a training step: those of its images forward and, twice as many, backward."""
        self.model.eval()
        cfg, zeros = self.config.train, partial(torch.zeros, device=self.device)
        with FlopCounterMode(display=False) as counter:
            self.model.encoder(zeros(1, *self.model.event_shape))
            self.model.decode(zeros(cfg.samples, self.model.latent_dim))
        # The counter counts a multiplication and its addition as two.
        return 3 * counter.get_total_flops() / 2 * cfg.batch_size

    def _begin(self, progress: Progress, stop: threading.Event) -> Inference:
        """Prepare inference for the data; if it does not suit them, the folder of a new run is removed."""
        cfg = self.config
        data = self.images, self.validation
        start = self.state.start_noise_scale
        setup = TrainingSetup(self.model, *data, cfg.likelihood.kind, cfg.train.samples, cfg.seed, start)
        try:
            inference = cfg.inference.begin(setup, stoppable(progress, stop))
            if cfg.likelihood.shares and not self.state.epoch:
                wants_shares(self.data, cfg.likelihood.kind)
            return inference
        except UserError:
            self.folder.undo_create()
            raise

    def _over(self) -> bool:
        """Return whether there is no epoch left to train."""
        cfg, stages = self.config.train, len(self.config.inference.stages(self.model))
        return self.state.finished or self.state.epoch >= cfg.epochs or waited_enough(cfg, self.state, stages)

    def _finish(self, inference: Inference, progress: Progress, stop: threading.Event) -> None:
        """Turn the best weights into the finished model, after the last epoch, and mark the run as finished.

        The weights of training itself stay in `last` and `unfinished`, so that the run can be trained longer.
        """
        if self.config.inference.finishes:
            trained = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            try:
                self.folder.load_unfinished(self.model)
                figures = inference.finish(stoppable(progress, stop))
                score = validation_elbo(self.model, self.validation, self.config.seed)
                self.folder.write_finished(self.model.state_dict(), self.state.best_epoch, score, figures)
            finally:
                self.model.load_state_dict(trained)
        self.state.finished = True
        self.save()

    def _enter_stage(self) -> None:
        """Enter the stage of this epoch: its parameters require gradients, all others do not."""
        stage = enter_stage(self.config.inference.stages(self.model), self.state, self.config.train.epochs)
        if stage.enter is not None:
            stage.enter()
        parameters = dict(self.model.named_parameters())
        for name in self.trained:
            parameters[name].requires_grad_(name.startswith(stage.parameters))
        cfg = self.config
        weight = kl_weight(cfg.train, self.state.epoch)
        self.bound_settings = BoundSettings(cfg.objective, cfg.regulariser, weight, stage.reward)
        for group in self.optimizer.param_groups:
            group["lr"] = stage.rate * learning_rate(cfg.train, self.state.epoch)

    def _epoch(self, inference: Inference, progress: Progress, stop: threading.Event) -> None:
        """Train the rest of the current epoch.

        NOTE: the bound is summed on the device and read once, at the end, as each read would wait for the device.
        """
        cfg = self.config.train
        # The order comes from the generator's state at the epoch's start, which is saved: an epoch that is resumed
        # half way has the same order, while the noise of its remaining steps continues from the saved `rng`.
        if self.state.step == 0:
            self.state.epoch_rng = rng_text(self.generator)
        with self._kept():
            batches = inference.batches(self._epoch_generator(), cfg.batch_size)
        if self.state.step == 0:
            # NOTE: the generator is advanced by the order's draws, so that the steps' noise continues after them.
            inference.batches(self.generator, cfg.batch_size)
        steps = len(batches)
        bound_sum = torch.tensor(self.state.bound_sum, device=self.device)
        started, before = time.monotonic(), self.state.seconds
        self.model.train()
        try:
            while self.state.step < steps:
                bound_sum += self._step(inference, batches[self.state.step]).sum()
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
        """Return a generator in the state at the epoch's start, from which a resumed epoch draws the same order."""
        generator = torch.Generator(self.device)
        set_rng(generator, self.state.epoch_rng)
        return generator

    def _step(self, inference: Inference, index: Tensor) -> Tensor:
        """Take one step of the optimizer; return the bound of each image of the batch."""
        with self._kept(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.train.bfloat16):
            step = inference.step(index, self.bound_settings, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        (-step.bound.surrogate).backward()
        if self.config.train.clip:
            clip_gradients(self.optimizer, self.config.train.clip)
        self.optimizer.step()
        self.state.passes += step.passes or 0
        return step.bound.value

    def _end_epoch(self, inference: Inference, on_epoch: OnEpoch | None) -> None:
        state, cfg = self.state, self.config.train
        train_bound = state.bound_sum / len(self.images.seen)
        with self._kept():
            score = inference.score()
        if not (math.isfinite(train_bound) and math.isfinite(score) and self._weights_are_numbers()):
            self._save_results()
            raise self._ended(self._divergence())
        state.epoch, state.step, state.bound_sum = state.epoch + 1, 0, 0.0
        if state.best_elbo is None or score > state.best_elbo:
            state.best_elbo, state.best_epoch = score, state.epoch
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        row = {"epoch": state.epoch, "train_bound": train_bound, "validation_elbo": score, "seconds": state.seconds}
        row |= inference.figures()
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
