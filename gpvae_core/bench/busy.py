"""Times beside processes that keep every core busy, compared with those without them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.bench.browser import times_to_repaint
from gpvae_core.bench.served import explorer, find_browser
from gpvae_core.inspection.default_pair import train_default_pair
from gpvae_core.progress import Progress

TRAINING = ("train", "--method", "gp", "--dataset", "digits", "--epochs", "60")
EVALUATION = ("--instances", "50", "--truths", "50", "--json")
SPIN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""A program that keeps a core busy, until the process ends that started it, even by a kill."""


@contextmanager
def every_core_busy() -> Iterator[None]:
    """Keep every core busy by a process each."""
    command = [sys.executable, "-c", SPIN, str(os.getpid())]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


LOADS: dict[str, Callable[[], AbstractContextManager[None]]] = {"alone": nullcontext, "busy machine": every_core_busy}
ALONE = next(iter(LOADS))


def command_under(load: str, *arguments: str) -> None:
    """Run `gpvae` as a user does, in a process of its own and a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder, LOADS[load]():
        command = [sys.executable, "-m", "gpvae_core.cli", *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def command_rows(metric: str, arguments: tuple[str, ...], repeats: int, progress: Progress) -> list[Row]:
    """Return the time of a command under each load, in turn."""

    def case(load: str) -> Callable[[], None]:
        return lambda: command_under(load, *arguments)

    times = time_in_turn({load: case(load) for load in LOADS}, repeats, torch.device("cpu"), progress, metric, warmup=0)
    return timed_rows(times, metric, ratio_to=ALONE)


def click_rows(folder: Path, repeats: int, browser: str, progress: Progress) -> list[Row]:
    """Return the time from a click on the map to six views painted, under each load."""
    medians: dict[str, Row] = {}
    with explorer(folder) as served:
        for number, (load, keep_busy) in enumerate(LOADS.items(), 1):
            with keep_busy():
                values = times_to_repaint(served.url, ["click"], repeats, browser, timeout_s=120.0)["click"]
            median = statistics.median(values)
            ratio = {"ratio_to": ALONE, "ratio": median / medians[ALONE].value} if medians else {}
            ends = {"repeats": repeats, "low": min(values), "high": max(values)}
            medians[load] = Row(load, "click to six views painted", median, "ms", **ends, **ratio)
            progress(number, len(LOADS), "clicks")
    return list(medians.values())


@BENCHES.register("busy")
class BusyBench(Bench):
    """Training, evaluation and a click in the Explorer on a machine whose cores are all kept busy (digits, CPU)."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure on the CPU, in which a busy machine matters; `device` is ignored."""
        browser = find_browser()
        with tempfile.TemporaryDirectory() as name:
            _, gp = train_default_pair(Path(name) / "runs", progress)
            return [
                *command_rows("training", TRAINING, repeats, progress),
                *command_rows("evaluation", ("evaluate", str(gp), *EVALUATION), repeats, progress),
                *click_rows(Path(name), repeats, browser, progress),
            ]
