"""Training by MAPA with random batches and with batches of neighbours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, Dataset, load
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.validation import DeviceSplit

SETS = {"figure-8": 5, "digits": 1}
"""Number of epochs per round, by data set."""
SEEDS = 3
GROUPS = (5, 20, 100)
CASES: Mapping[str, Mapping[str, Any]] = {
    "random": {},
    **{f"groups of {size}": {"batching": "neighbours", "group_size": size} for size in GROUPS},
}
METHOD, SETTINGS = "mapa:50", {"inference.bandwidth": "validation"}


class Learner:
    """A model in training, without a run folder."""

    def __init__(self, data: Dataset, settings: Mapping[str, Any], seed: int, device: torch.device) -> None:
        config = make_config(
            METHOD, DataConfig(name=data.name), data.event_shape, {**SETTINGS, **settings, "seed": seed}
        )
        torch.manual_seed(seed)
        vae = config.build(data.event_shape).to(device)
        train, validation = DeviceSplit(data.train, device), DeviceSplit(data.validation, device)
        scale = vae.likelihood.noise_scale()
        setup = TrainingSetup(vae, train, validation, config.likelihood.kind, 1, seed, scale)
        self.inference = config.inference.begin(setup, silent)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.optimizer = torch.optim.Adam(vae.parameters(), lr=config.train.lr, fused=True)
        self.size, self.passes, self.points = config.train.batch_size, 0, 0
        self.milliseconds: list[float] = []

    def epoch(self) -> None:
        """Train one epoch, and record its passes and the mean time of a step."""
        batches = self.inference.batches(self.generator, self.size)
        start = time.perf_counter()
        for index in batches:
            step = self.inference.step(index, BoundSettings(), self.generator)
            self.optimizer.zero_grad(set_to_none=True)
            (-step.bound.surrogate).backward()
            self.optimizer.step()
            self.passes += step.passes or 0
            self.points += len(index)
        self.milliseconds.append(1e3 * (time.perf_counter() - start) / len(batches))


@BENCHES.register("batches")
class Batches(Bench):
    """MAPA with random batches and with batches of neighbours: passes, time per step, score after equal steps."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        rows: list[Row] = []
        for name, epochs in SETS.items():
            data = load(DataConfig(name=name))
            learners: dict[str, list[Learner]] = {case: [] for case in CASES}
            for seed in range(SEEDS):
                for case, settings in CASES.items():
                    learners[case].append(Learner(data, settings, seed, device))
                for round_ in range(repeats):
                    progress(seed * repeats + round_, SEEDS * repeats, f"batches of {name}")
                    for case_learners in learners.values():  # in turn, so that a drift of the machine cancels in ratios
                        for _ in range(epochs):
                            case_learners[seed].epoch()
            progress(SEEDS * repeats, SEEDS * repeats, f"batches of {name}")
            rows += _rows(name, learners, repeats * epochs)
        return rows


def _rows(name: str, learners: Mapping[str, Sequence[Learner]], epochs: int) -> list[Row]:
    metrics = {
        ("passes per point", "1"): lambda learner: learner.passes / learner.points,
        ("time per step", "ms"): lambda learner: statistics.median(learner.milliseconds),
        (f"validation log-likelihood after {epochs} epochs", "nats"): lambda learner: learner.inference.score(),
    }
    rows = []
    for (metric, unit), measure in metrics.items():
        by_case = {case: [measure(learner) for learner in of_seeds] for case, of_seeds in learners.items()}
        for case, values in by_case.items():
            ratio = None
            if case != "random" and unit != "nats":
                ratio = statistics.median(a / b for a, b in zip(values, by_case["random"], strict=True))
            ratio_to = "random" if ratio is not None else None
            row = (f"{name}, {case}", metric, statistics.median(values), unit, ratio_to, ratio)
            rows.append(Row(*row, len(values), min(values), max(values)))
    return rows
