"""One training loop for every model: Adam, mini-batches, best on validation, early stopping, exact resume."""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from gpvae_core import __version__
from gpvae_core.bounds import elbo, training_bound
from gpvae_core.config import FORMAT, RunConfig, parse_config
from gpvae_core.data.base import Dataset, Split, load
from gpvae_core.device import pick_device
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled, Progress, silent
from gpvae_core.run_files import (
    append_metrics,
    check_format,
    read_json,
    read_tensors,
    snapshot_folder,
    truncate_metrics,
    write_json,
    write_snapshot,
)
from gpvae_core.vae import VAE

SAVE_SECONDS = 10.0
"""A kill loses at most about this much work (and one step)."""

OnEpoch = Callable[[int, VAE, dict[str, Any]], None]
"""Called after each epoch with its number (from 1), the model and the epoch's line of metrics."""


@dataclass
class State:
    """Where training stands; with the weights and the optimizer it is all that a resumed run needs."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps done in the current epoch."""
    bound_sum: float = 0.0
    """Training bound summed over the images seen in the current epoch, nats."""
    seconds: float = 0.0
    best_epoch: int = 0
    best_elbo: float | None = None
    finished: bool = False
    epoch_rng: str = ""
    """Generator state (hexadecimal) at the start of the epoch, from which its order of images follows."""
    rng: str = ""


class DeviceSplit:
    """A split kept on the device as it is stored; pixels become float32 in [0, 1] when a batch is taken."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.scale = 1.0 / split.levels

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor) -> Tensor:
        return self.images[index].to(torch.float32) * self.scale


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
        self.state = State()
        self.images, self.validation = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
        self.best: dict[str, Tensor] = {}
        self.unsaved: list[dict[str, Any]] = []
        self.saved_at = time.monotonic()

    # -- the folder -------------------------------------------------------------------------------------------------

    def create(self, origin: str | None) -> None:
        """The run folder with its config and meta data, before the first step."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / "config.json", {"format": FORMAT, **self.config.to_json()})
        self.write_meta(origin)

    def write_meta(self, origin: str | None) -> None:
        meta = {
            "format": FORMAT,
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
            "init_from": origin,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_json(self.out / "meta.json", meta)

    def save(self) -> None:
        """Weights, optimizer and state of this moment; the best weights where they changed; metrics last."""
        self.state.rng = _rng_text(self.generator)
        if self.best:
            best = {"format": FORMAT, "epoch": self.state.best_epoch, "validation_elbo": self.state.best_elbo}
            write_snapshot(self.out / "best", {"weights": self.best}, best)
            self.best = {}
        tensors = {"weights": self.model.state_dict(), "optimizer": _optimizer_tensors(self.optimizer)}
        append_metrics(self.out / "metrics.jsonl", self.unsaved)
        self.unsaved = []
        write_snapshot(self.out / "last", tensors, {"format": FORMAT, **asdict(self.state)})
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Go back to what `last` holds, or to the start where nothing was saved yet."""
        folder = snapshot_folder(self.out / "last")
        if folder is not None:
            raw = read_json(folder / "state.json")
            check_format(raw, folder)
            raw.pop("format")
            self.state = State(**raw)
            self.model.load_state_dict(read_tensors(folder / "weights.safetensors"))
            _load_optimizer(self.optimizer, read_tensors(folder / "optimizer.safetensors"))
            _set_rng(self.generator, self.state.rng)
        truncate_metrics(self.out / "metrics.jsonl", self.state.epoch)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self, progress: Progress, on_epoch: OnEpoch | None, stop: threading.Event) -> None:
        """Train until the last epoch, early stopping, or a stop; what is done is saved in each case."""
        if self.config.train.compile:
            for module in self.model.modules():
                if isinstance(module, nn.Sequential):
                    module.compile()
        try:
            while not self.state.finished:
                self._epoch(progress, stop)
                self._end_epoch(on_epoch)
        except Cancelled:
            self.save()
            raise

    def _epoch(self, progress: Progress, stop: threading.Event) -> None:
        """The rest of the current epoch. The bound is summed on the device and read once, at the end."""
        cfg, n = self.config.train, len(self.images)
        if self.state.step == 0:
            self.state.epoch_rng = _rng_text(self.generator)
        order = torch.randperm(n, generator=self._epoch_generator(), device=self.device)
        if self.state.step == 0:
            torch.randperm(n, generator=self.generator, device=self.device)
        steps = -(-n // cfg.batch_size)
        bound_sum = torch.tensor(self.state.bound_sum, device=self.device)
        started, before = time.monotonic(), self.state.seconds
        self.model.train()
        try:
            while self.state.step < steps:
                index = order[self.state.step * cfg.batch_size : (self.state.step + 1) * cfg.batch_size]
                bound_sum += self._step(self.images.batch(index), n).sum()
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
        _set_rng(generator, self.state.epoch_rng)
        return generator

    def _step(self, x: Tensor, n: int) -> Tensor:
        cfg = self.config.train
        with torch.autocast(self.device.type, torch.bfloat16, enabled=cfg.bfloat16):
            bound = training_bound(self.model, x, n, cfg.samples, self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        (-bound.surrogate).backward()
        self.optimizer.step()
        return bound.value

    def _end_epoch(self, on_epoch: OnEpoch | None) -> None:
        state, cfg = self.state, self.config.train
        train_bound = state.bound_sum / len(self.images)
        if train_bound != train_bound:
            raise UserError(
                f"training diverged in epoch {state.epoch + 1} (the bound is not a number); the last good state is "
                f"kept in {self.out}; a smaller --set lr=... may help"
            )
        score = validation_elbo(self.model, self.validation, self.config.seed)
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
        self.unsaved.append(row)
        waited = cfg.patience and state.epoch - state.best_epoch >= cfg.patience
        state.finished = state.epoch >= cfg.epochs or bool(waited)
        if state.finished or time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()
        if on_epoch is not None:
            on_epoch(state.epoch, self.model, row)


@torch.no_grad()
def validation_elbo(model: VAE, images: DeviceSplit, seed: int, chunk: int = 1000) -> float:
    """Mean ELBO of q(z|x) over the validation images in nats, one sample each, the same noise at every call."""
    model.eval()
    generator = torch.Generator(images.images.device).manual_seed(seed)
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(images), chunk):
        index = torch.arange(start, min(start + chunk, len(images)), device=images.images.device)
        total += elbo(model.log_weights(images.batch(index), 1, generator)).double().sum().cpu()
    return float(total) / max(1, len(images))


def _rng_text(generator: torch.Generator) -> str:
    return bytes(generator.get_state().tolist()).hex()


def _set_rng(generator: torch.Generator, text: str) -> None:
    generator.set_state(torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8))


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors: '<parameter number>.<name>'."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C asks for a stop after the current step; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One training at a time in a folder."""
    lock = FileLock(out.parent / f".{out.name}.lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"'{out}' is being trained by another process") from None
    except OSError as error:
        raise UserError(f"cannot write to '{out.parent}': {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def train(
    config: RunConfig,
    out: Path,
    *,
    device: str | None = None,
    init_from: tuple[str, VAE] | None = None,
    data: Dataset | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Train a new run into `out` (which must not hold one) and return it.

    Args:
        init_from: name and model of a trained run from whose decoder, likelihood and encoder this one starts.
        data: the data set of `config.data`, where the caller has loaded it already.

    Raises:
        UserError: `out` is taken, the disk is full, the model to start from does not fit, training diverged.
        Cancelled: stopped by Ctrl-C or from `progress`; `resume(out)` goes on to the same weights.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"'{out}' exists already: choose another --out, or go on with it by --resume {out}")
    with _locked(out), _stop_on_interrupt() as stop:
        training = Training(config, data or load(config.data), out, pick_device(device))
        if init_from is not None:
            _start_from(training.model, init_from[1])
        training.create(init_from[0] if init_from else None)
        training.save()
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
    """
    raw = read_json(out / "config.json")
    check_format(raw, out)
    raw.pop("format")
    if epochs is not None:
        raw["train"]["epochs"] = epochs
    config = parse_config(raw)
    with _locked(out), _stop_on_interrupt() as stop:
        data = load(config.data)
        if data.fingerprint != read_json(out / "meta.json").get("data_fingerprint"):
            raise UserError(f"the data of '{out}' changed since it was trained: wanted the same images to resume")
        training = Training(config, data, out, pick_device(device))
        training.restore()
        if epochs is not None:
            write_json(out / "config.json", {"format": FORMAT, **config.to_json()})
            training.state.finished = training.state.epoch >= epochs
        training.run(progress, on_epoch, stop)
    return out


def _start_from(model: VAE, other: VAE) -> None:
    """Decoder and likelihood of a trained model, and what the encoder can take over from its."""
    try:
        model.decoder.load_state_dict(other.decoder.state_dict())
        model.likelihood.load_state_dict(other.likelihood.state_dict())
        model.encoder.start_from(other.encoder)
    except RuntimeError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise UserError(
            f"--init-from wants a run with the same data shape, networks and latent dimension: {detail}"
        ) from None
