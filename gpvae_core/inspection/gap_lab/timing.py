"""Milliseconds that each method takes for a batch, here and now, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE

BATCH = 128
REPEATS, FEWEST = 9, 3
ENOUGH_S = 2.0
"""A method that has taken so long in all, in at least FEWEST repeats, is not asked again."""
Clock = Callable[[], float]


@torch.no_grad()
def batch_times(
    models: Mapping[str, VAE],
    x: Float[Tensor, "B C H W"],
    progress: Progress = silent,
    clock: Clock = time.perf_counter,
) -> dict[str, Array]:
    """Milliseconds of each repeat. After one round to warm up the methods take turns, so that all see the same load.

    What is timed is the answer q(z|x) and one sample of it with its log density: the same for every family.
    """
    found: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(REPEATS + 1):
        for number, (name, model) in enumerate(models.items()):
            progress(turn * len(models) + number, (REPEATS + 1) * len(models), f"timing {name}")
            if len(found[name]) >= FEWEST and sum(found[name]) > 1000 * ENOUGH_S:
                continue
            taken = _once(model, x, clock)
            if turn:
                found[name].append(taken)
    progress((REPEATS + 1) * len(models), (REPEATS + 1) * len(models), "timing")
    return {name: np.array(times) for name, times in found.items()}


def _once(model: VAE, x: Tensor, clock: Clock) -> float:
    _settle(x)
    started = clock()
    model.infer(x).rsample_and_log_prob(1)
    _settle(x)
    return 1000.0 * (clock() - started)


def _settle(x: Tensor) -> None:
    """Wait for a GPU's queue."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
