"""Measurement of the time that each method takes for a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.device import synchronize
from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE

BATCH = 128
REPEATS, FEWEST = 9, 3
ENOUGH_S = 2.0
"""Total time in seconds after which a method is not timed again, if it has at least FEWEST repeats."""
Clock = Callable[[], float]


@torch.no_grad()
def batch_times(
    models: Mapping[str, VAE],
    x: Float[Tensor, "B C H W"],
    progress: Progress = silent,
    clock: Clock = time.perf_counter,
) -> dict[str, Array]:
    """Return the milliseconds of each repeat for each method.

    The timed work is the computation of q(z|x) and one sample of it with its log density, for every family.
    """
    # Methods take turns, so that a change of the machine's load affects all of them. Turn 0 is a warm-up.
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(REPEATS + 1):
        for number, (name, model) in enumerate(models.items()):
            progress(turn * len(models) + number, (REPEATS + 1) * len(models), f"timing {name}")
            if len(times[name]) >= FEWEST and sum(times[name]) > 1000 * ENOUGH_S:
                continue
            milliseconds = _time_once(model, x, clock)
            if turn:
                times[name].append(milliseconds)
    progress((REPEATS + 1) * len(models), (REPEATS + 1) * len(models), "timing")
    return {name: np.array(values) for name, values in times.items()}


def _time_once(model: VAE, x: Tensor, clock: Clock) -> float:
    synchronize(x.device)
    started = clock()
    model.infer(x).rsample_and_log_prob(1)
    synchronize(x.device)
    return 1000.0 * (clock() - started)
