"""A step of the exact GP-VAE on one series: by a Kalman filter and smoother, and by dense matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gpvae_core.allocator import keep_freed_memory
from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.config import make_config
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.base import DataConfig, Dataset
from gpvae_core.data.split import Split, fingerprint
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.types import EventShape
from gpvae_core.validation import DeviceSplit

FRAMES = (30, 300, 3000)
SHAPE: EventShape = (1, 8, 8)
METHODS = ("gp-vae", "markov")
STEP = "a step on one series"
SETTINGS = {
    "latent_dim": 2,
    "net.kind": "fc",
    "net.hidden": 32,
    "prior.kernel": "matern(time, nu=1.5, length_scale=2)",
    "prior.group": "series",
    "likelihood.kind": "gaussian",
}


def one_series(frames: int) -> Dataset:
    """Return a series of drawn pixels at irregular times."""
    columns = (Column("time", "number", unit="s"), Column("series", "category", names=("training", "held out")))
    rng = np.random.default_rng(0)

    def split(count: int, code: int) -> Split:
        time = np.cumsum(rng.uniform(0.5, 1.5, count))
        auxiliary = Auxiliary(columns, {"time": time, "series": np.full(count, code)})
        return Split(rng.random((count, *SHAPE), dtype=np.float32), np.zeros(count, np.int64), 1, auxiliary)

    parts = split(frames, 0), split(2, 1), split(2, 1)
    return Dataset("series", *parts, ("all",), SHAPE, fingerprint(*parts))


def step(method: str, data: Dataset, device: torch.device) -> Callable[[], Tensor]:
    """Return a function that takes the gradient of the bound of the series, and returns the bound of each frame."""
    config = make_config(method, DataConfig(name="digits"), SHAPE, SETTINGS)
    torch.manual_seed(0)
    model = config.build(SHAPE, data.columns).to(device)
    config.inference.start(model, data, 0)
    parts = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
    inference = config.inference.begin(TrainingSetup(model, *parts, config.likelihood.kind, 1, 0, None), silent)
    index = torch.arange(len(data.train), device=device)

    def once() -> Tensor:
        bound = inference.step(index, BoundSettings(), torch.Generator(device).manual_seed(0)).bound
        model.zero_grad(set_to_none=True)
        (-bound.surrogate).backward()
        return bound.value

    return once


@BENCHES.register("series")
class SeriesBench(Bench):
    """A step of `markov` and of the dense `gp-vae` on one series of 30, 300 and 3,000 frames (d = 2)."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        keep_freed_memory()  # as training does
        rows: list[Row] = []
        seconds: dict[str, list[float]] = {method: [] for method in METHODS}
        for frames in FRAMES:
            data = one_series(frames)
            steps = {method: step(method, data, device) for method in METHODS}
            # Dense matrices of 3,000 frames take half a minute.
            rounds, warmup = (max(1, repeats // 10), 0) if frames == FRAMES[-1] else (repeats, 1)
            times = time_in_turn(steps, rounds, device, progress, f"{frames:,} frames", warmup)
            timed = timed_rows(times, f"{STEP} of {frames:,} frames", ratio_to=METHODS[0])
            dense, markov = (steps[method]() for method in METHODS)
            apart = float((dense - markov).abs().max())
            rows += [*timed, Row("largest difference of a frame's bound", f"{frames:,} frames", apart, "nats")]
            for row in timed:
                seconds[row.case].append(row.value)
        for method, values in seconds.items():
            slope = np.polyfit(np.log(FRAMES[1:]), np.log(values[1:]), 1)[0]
            rows.append(Row(method, f"exponent of T from {FRAMES[1]} on", float(slope), "1"))
        return rows
