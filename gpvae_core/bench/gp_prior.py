"""Time and memory of an epoch of methods with inducing points, at the size of rotated MNIST (Jazbec et al. 2021)."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import torch

from gpvae_core.allocator import keep_freed_memory
from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.bench.views import IMAGES, SHAPE, views
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, Dataset
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.validation import DeviceSplit

METHODS = ("svgp:32", "deep-svigp:32", "hensman:32")
FIRST = METHODS[0]
DIGITS = (1, 2, 5, 10)
SETTINGS = {
    "latent_dim": 16,
    "net.kind": "casale",
    "train.batch_size": 256,
    "train.lr": 1e-3,
    "prior.kernel": "periodic(angle) * linear(object)",
    "likelihood.kind": "gaussian",
}
EPOCH = f"training pass over {IMAGES:,} images"
GROWTH = "training pass against N"
MEMORY = "peak memory of a process that trains for an epoch"
PEAK = "import sys; from gpvae_core.bench.gp_prior import print_memory; print_memory(sys.argv[1], int(sys.argv[2]))"


def epoch(method: str, data: Dataset, device: torch.device) -> Callable[[], None]:
    """Return a function that trains a model for one epoch: its steps alone, without validation and files."""
    config = make_config(method, DataConfig(name="digits"), SHAPE, SETTINGS)
    torch.manual_seed(0)
    model = config.build(SHAPE, data.columns).to(device)
    config.inference.start(model, data, 0)
    parts = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
    inference = config.inference.begin(TrainingSetup(model, *parts, config.likelihood.kind, 1, 0, None), silent)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.train.lr, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    model.train()

    def once() -> None:
        for index in inference.batches(generator, config.train.batch_size):
            step = inference.step(index, BoundSettings(), generator)
            optimizer.zero_grad(set_to_none=True)
            (-step.bound.surrogate).backward()
            optimizer.step()

    return once


def print_memory(method: str, digits: int) -> None:
    """Print the most megabytes that a process takes that trains for an epoch, with its libraries and data."""
    epoch(method, views(digits), torch.device("cpu"))()
    # Linux counts in KiB.
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6))


def memory(method: str, digits: int) -> float:
    """Return `print_memory` of a process of its own, in MB."""
    command = [sys.executable, "-c", PEAK, method, str(digits)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@BENCHES.register("gp-prior")
class GPPriorEpoch(Bench):
    """An epoch of svgp, deep-svigp and hensman (N = 4,050, batch 256, m = 32), svgp's growth with N, their memory."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        keep_freed_memory()  # as training does
        cases = {method: epoch(method, views(1), device) for method in METHODS}
        times = time_in_turn(cases, repeats, device, progress, "an epoch of each method")
        rows = timed_rows(times, EPOCH, ratio_to=FIRST)
        rows += growth(device, repeats, progress)
        for digits in (DIGITS[0], DIGITS[-1]):
            megabytes = {method: memory(method, digits) for method in METHODS}
            rows += [Row(f"{name}, N = {digits * IMAGES:,}", MEMORY, value, "MB") for name, value in megabytes.items()]
        return rows


def growth(device: torch.device, repeats: int, progress: Progress) -> list[Row]:
    """Return the times of an epoch of the first method for 1 to 10 digits, and the exponent b of seconds ~ N^b."""
    sizes = {f"{FIRST}, N = {digits * IMAGES:,}": digits for digits in DIGITS}
    cases = {name: epoch(FIRST, views(digits), device) for name, digits in sizes.items()}
    times = time_in_turn(cases, repeats, device, progress, "growth with N", warmup=1)
    rows = timed_rows(times, GROWTH, ratio_to=next(iter(sizes)))
    slope = np.polyfit(np.log(DIGITS), np.log([row.value for row in rows]), 1)[0]
    return [*rows, Row(FIRST, "exponent of N", float(slope), "1")]
