"""Time of the first `gpvae explore` without trained runs: until the page is up, and until all views are filled."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.bench.browser import open_tab, wait_until_ready
from gpvae_core.bench.served import explorer, find_browser
from gpvae_core.progress import Progress

PAGE_UP = "document.querySelector('[role=status]') !== null || window.gpvaePainted !== undefined"


@BENCHES.register("first-start")
class FirstStartBench(Bench):
    """First start of the Explorer with nothing trained: page up, default models trained, six views filled."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure one start on the CPU, which takes about a minute; `repeats` and `device` are ignored."""
        with tempfile.TemporaryDirectory() as folder, open_tab(find_browser()) as page:
            progress(0, 2, "first start")
            with explorer(Path(folder)) as served:
                page.goto(served.url)
                page.wait_for_function(PAGE_UP, timeout=60_000)
                up = time.perf_counter() - served.started
                progress(1, 2, "first start")
                wait_until_ready(page, timeout_s=600)
                filled = time.perf_counter() - served.started
        progress(2, 2, "first start")
        return [
            Row("nothing trained", "command to page up", up, "s"),
            Row("nothing trained", "command to six views filled", filled, "s"),
        ]
