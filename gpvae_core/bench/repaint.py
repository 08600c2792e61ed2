"""Time from a click on the map to the last of six views painted in Chromium, and the time to compute the views."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.bench.browser import click_to_repaint
from gpvae_core.bench.served import explorer, find_browser
from gpvae_core.inspection.default_pair import train_default_pair
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run


def summary(case: str, values: list[float]) -> list[Row]:
    """Return the median and the 95th percentile, in milliseconds."""
    ends = {"repeats": len(values), "low": min(values), "high": max(values)}
    return [
        Row(case, "median", statistics.median(values), "ms", **ends),
        Row(case, "95th percentile", float(np.percentile(values, 95)), "ms", **ends),
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


@BENCHES.register("repaint")
class RepaintBench(Bench):
    """Click on the map to six views repainted in Chromium (digits, default pair), and time to compute the views."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        browser = find_browser()
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / "runs"
            _, gp = train_default_pair(root, progress)
            prepared = Explorer(load_run(gp, device="cpu"))
            prepared.prepare(progress)
            times = computing(prepared, repeats + 3)[3:]
            with explorer(Path(name)) as served:
                clicks = click_to_repaint(served.url, repeats, browser)
        return [*summary("click to six views painted", clicks), *summary("computing of the six views", times)]
