"""Time from a click on the map, or an arrow key, to the last of six views painted in Chromium, and to compute them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.bench.browser import WAYS, times_to_repaint
from gpvae_core.bench.served import explorer, find_browser
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.inspection.default_pair import train_default_pair
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run
from gpvae_core.training import train

EPOCHS = 5
"""Epochs of the runs that are measured beside the default pair."""


def summary(case: str, what: str, values: list[float]) -> list[Row]:
    """Return the median and the 95th percentile of the times of a case, in milliseconds."""
    ends = {"repeats": len(values), "low": min(values), "high": max(values)}
    return [
        Row(case, f"{what}, median", statistics.median(values), "ms", **ends),
        Row(case, f"{what}, 95 %", float(np.percentile(values, 95)), "ms", **ends),
    ]


def computing(prepared: Explorer, n: int) -> list[float]:
    """Return the milliseconds to compute the six views of each of the first `n` test images."""
    views: list[Callable[..., object]] = [
        prepared.posterior_view,
        prepared.uncertainty_view,
        prepared.traces_view,
        prepared.reconstruction_view,
        prepared.gap_view,
        prepared.place_on_map,
    ]
    times = []
    for index in range(n):
        instance = prepared.instance(index)
        start = time.perf_counter()
        for view in views:
            view(instance)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def enlarged_digits(folder: Path) -> DataConfig:
    """Write the digits, enlarged to 28x28, into the folder, so that the bench needs no download."""
    digits = load(DataConfig(name="digits"))
    parts = digits.train, digits.validation, digits.test
    pixels = torch.cat([torch.as_tensor(part.pixels()) for part in parts])
    enlarged = F.interpolate(pixels, size=28, mode="bilinear").clamp(0, 1)
    path = folder / "digits-28.npz"
    np.savez(path, images=enlarged.numpy(), labels=np.concatenate([part.labels for part in parts]))
    return DataConfig(name=f"array:{path}")


def train_alone(data: DataConfig, d: int, root: Path, progress: Progress) -> Path:
    """Train a GP encoder for a few epochs, which decides what is computed and drawn but not how well it fits."""
    images = load(data)
    settings = {"latent_dim": d, "train.epochs": EPOCHS}
    config = make_config("gp", data, images.event_shape, settings)
    return train(config, root / f"gp-{d}", device="cpu", data=images, progress=progress)


@BENCHES.register("repaint")
class RepaintBench(Bench):
    """Click or arrow key to six views repainted in Chromium: the default pair, and one run at d = 2, 10 and 28x28."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        browser, rows = find_browser(), []
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            digits = DataConfig(name="digits")
            cases: dict[str, Callable[[Path], Path]] = {
                "pair, digits, d=2": lambda root: train_default_pair(root, progress)[1],
                "one run, digits, d=2": lambda root: train_alone(digits, 2, root, progress),
                "one run, digits, d=10": lambda root: train_alone(digits, 10, root, progress),
                "one run, 28x28, d=2": lambda root: train_alone(enlarged_digits(folder), 2, root, progress),
            }
            for k, (case, trained) in enumerate(cases.items()):
                place = folder / str(k)
                run = trained(place / "runs")
                prepared = Explorer(load_run(run, device="cpu"))
                prepared.prepare(progress)
                times = computing(prepared, repeats + 3)[3:]
                with explorer(place) as served:
                    painted = times_to_repaint(served.url, tuple(WAYS), repeats, browser)
                for way, milliseconds in painted.items():
                    rows += summary(case, f"{way} to six views painted", milliseconds)
                rows += summary(case, "computing of the six views", times)
                progress(k + 1, len(cases), "cases")
        return rows
