"""Time and memory of an epoch of models of images given columns, at the size of rotated MNIST (Jazbec et al. 2021)."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch

from gpvae_core.allocator import keep_freed_memory
from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.bench.views import IMAGES, SHAPE, views
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, Dataset
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.peak import peak_bytes
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.validation import DeviceSplit

SETTINGS = {
    "latent_dim": 16,
    "net.kind": "casale",
    "train.batch_size": 256,
    "train.lr": 1e-3,
    "likelihood.kind": "gaussian",
}
KERNEL = {"prior.kernel": "periodic(angle) * linear(object)"}
FIRST = "svgp:32"
CASES: Mapping[str, Mapping[str, Any]] = {
    FIRST: KERNEL,
    "deep-svigp:32": KERNEL,
    "hensman:32": KERNEL,
    "titsias:32, one batch of all images": {**KERNEL, "train.batch_size": IMAGES},
    "gppvae": KERNEL,
    # Over all images at once its matrices of 4,050 x 4,050 would be 16, one for each channel.
    "gp-vae, a GP for each object alone": {"prior.kernel": "periodic(angle)", "prior.group": "object"},
    "cvae": {},
}
"""The cases: a method, and what is said of it behind a comma; with its settings beside those of all."""
DIGITS = (1, 2, 5, 10)
EPOCH = f"training pass over {IMAGES:,} images, in batches of 256 where nothing else is said"
GROWTH = "training pass against N"
STEPS = 3
MEMORY = f"peak memory of a process that trains for {STEPS} steps"
PEAK = "import sys; from gpvae_core.bench.gp_prior import print_memory; print_memory(sys.argv[1], int(sys.argv[2]))"


def epoch(case: str, data: Dataset, device: torch.device, steps: int | None = None) -> Callable[[], None]:
    """Return a function that trains a model for one epoch: its steps alone, without validation and files.

    Args:
        steps: number of its first steps that are taken; all by default.
    """
    method = case.partition(",")[0]
    config = make_config(method, DataConfig(name="digits"), SHAPE, {**SETTINGS, **CASES[case]})
    torch.manual_seed(0)
    model = config.build(SHAPE, data.columns).to(device)
    config.inference.start(model, data, 0)
    parts = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
    inference = config.inference.begin(TrainingSetup(model, *parts, config.likelihood.kind, 1, 0, None), silent)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.train.lr, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    model.train()

    def once() -> None:
        for index in islice(inference.batches(generator, config.train.batch_size), steps):
            step = inference.step(index, BoundSettings(), generator)
            optimizer.zero_grad(set_to_none=True)
            (-step.bound.surrogate).backward()
            optimizer.step()

    return once


def print_memory(case: str, digits: int) -> None:
    """Print the most megabytes that a process takes that trains for a few steps, with its libraries and data."""
    epoch(case, views(digits), torch.device("cpu"), STEPS)()
    sys.stdout.write(str((peak_bytes() or math.nan) / 1e6))


def memory(case: str, digits: int) -> Row:
    """Return `print_memory` of a process of its own, in MB."""
    command = [sys.executable, "-c", PEAK, case, str(digits)]
    found = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return Row(f"{case}, N = {digits * IMAGES:,}", MEMORY, found, "MB")


@BENCHES.register("gp-prior")
class GPPriorEpoch(Bench):
    """An epoch of all methods given columns but markov (N = 4,050, batch 256), svgp's growth with N, their memory."""

    rounds: ClassVar[int] = 2

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        keep_freed_memory()  # as training does
        cases = {case: epoch(case, views(1), device) for case in CASES}
        times = time_in_turn(cases, repeats, device, progress, "an epoch of each method", warmup=1)
        rows = timed_rows(times, EPOCH, ratio_to=FIRST)
        rows += growth(device, repeats, progress)
        sizes = [*((case, DIGITS[0]) for case in CASES), (FIRST, DIGITS[-1])]
        for done, (case, digits) in enumerate(sizes, 1):
            rows.append(memory(case, digits))
            progress(done, len(sizes), "memory of each method")
        return rows


def growth(device: torch.device, repeats: int, progress: Progress) -> list[Row]:
    """Return the times of an epoch of the first method for 1 to 10 digits, and the exponent b of seconds ~ N^b."""
    sizes = {f"{FIRST}, N = {digits * IMAGES:,}": digits for digits in DIGITS}
    cases = {name: epoch(FIRST, views(digits), device) for name, digits in sizes.items()}
    # The epochs of all methods were the first rounds, in which memory and kernels are set up.
    times = time_in_turn(cases, repeats, device, progress, "growth with N", warmup=0)
    rows = timed_rows(times, GROWTH, ratio_to=next(iter(sizes)))
    slope = np.polyfit(np.log(DIGITS), np.log([row.value for row in rows]), 1)[0]
    return [*rows, Row(FIRST, "exponent of N", float(slope), "1")]
