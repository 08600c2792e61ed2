"""Memory of the server over many loads of its pages, once the sessions of these loads have ended."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import torch

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.bench.served import Served, explorer
from gpvae_core.inspection.default_pair import train_default_pair
from gpvae_core.progress import Progress

FIRST = 10
"""Number of loads after which the memory is first measured: by then all is imported and every run is open."""
LOADS_A_REPEAT = 25
STEPS = 4
"""Number of measurements after the first: a leak grows with each, and what is taken up once does not."""
SESSION_S = 35.0
"""Seconds after which a session that no browser has taken up has ended: bokeh looks for them every 17 s."""
PAGES = ("", "gap-lab", "mapa-lab", "gp-prior-lab", "results")


def memory_after(served: Served, first: int, last: int, progress: Progress) -> float:
    """Load the pages in turn, for the loads `first` to `last`, and return the server's resident memory in MB."""
    for load in range(first, last):
        with urlopen(served.url + PAGES[load % len(PAGES)], timeout=60) as answer:
            answer.read()
        progress(load + 1, last, "page loads")
    time.sleep(SESSION_S)
    return psutil.Process(served.pid).memory_info().rss / 1e6


@BENCHES.register("memory")
class MemoryBench(Bench):
    """Memory of the server after 10 page loads, and in four steps up to 25 times `--repeats` more, by default 500."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure it over the default pair; `device` is ignored, and no browser is needed."""
        steps = [FIRST + LOADS_A_REPEAT * repeats * k // STEPS for k in range(STEPS + 1)]
        with tempfile.TemporaryDirectory() as name:
            train_default_pair(Path(name) / "runs", progress)
            with explorer(Path(name)) as served:
                megabytes = [memory_after(served, *ends, progress) for ends in zip([0, *steps], steps, strict=False)]
        first = f"after {FIRST} loads"
        return [Row(first, "resident memory", megabytes[0], "MB")] + [
            Row(f"after {loads} loads", "resident memory", value, "MB", first, value / megabytes[0])
            for loads, value in zip(steps[1:], megabytes[1:], strict=True)
        ]
