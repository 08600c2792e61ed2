"""The bench of a busy machine: it keeps every core busy, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch

from gpvae_core.bench import busy
from gpvae_core.bench.base import BENCHES
from gpvae_core.bench.served import Served
from gpvae_core.progress import Progress, silent

ROOT = Path(__file__).parents[2]


def test_every_core_is_kept_busy_and_then_left(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def record(command: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(start(command))
        return started[-1]

    monkeypatch.setattr(busy.subprocess, "Popen", record)
    with busy.every_core_busy():
        assert len(started) == os.cpu_count()
        assert all(process.poll() is None for process in started)
    assert all(process.returncode is not None for process in started)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_bench_leaves_no_busy_process() -> None:
    script = (
        "import os, signal, subprocess, time\nfrom gpvae_core.bench import busy\nstart = busy.subprocess.Popen\n"
        "def record(*a):\n    process = start(*a)\n    print(process.pid, flush=True)\n    return process\n"
        "busy.subprocess.Popen = record\nwith busy.every_core_busy():\n    time.sleep(1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    busy_ones = [int(line) for line in killed.stdout.split()]
    assert len(busy_ones) == os.cpu_count()
    deadline = time.monotonic() + 60
    while any(map(is_running, busy_ones)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, busy_ones))


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not a zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.slow
def test_a_training_an_evaluation_and_a_click_are_compared_with_the_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Real commands, short and without the load; clicks of given times, which are tested on the pages."""
    pages: list[tuple[str, int, str]] = []

    def clicks(url: str, ways: list[str], n: int, browser: str, timeout_s: float) -> dict[str, list[float]]:
        pages.append((url, n, browser))
        return {way: [20.0 * len(pages), 30.0 * len(pages)] for way in ways}

    def pair(root: Path, progress: Progress) -> tuple[Path, Path]:
        return root / "vae", root / "gp"

    monkeypatch.setattr(busy, "train_default_pair", pair)
    monkeypatch.setattr(busy, "find_browser", lambda: "chromium")
    monkeypatch.setattr(busy, "explorer", lambda folder: nullcontext(Served("http://127.0.0.1:1/", 0.0, 1)))
    monkeypatch.setattr(busy, "times_to_repaint", clicks)
    monkeypatch.setattr(busy, "TRAINING", ("train", "--epochs", "1"))
    monkeypatch.setattr(busy, "EVALUATION", ("--help",))
    monkeypatch.setattr(busy, "LOADS", {"alone": nullcontext, "busy machine": nullcontext})
    rows = BENCHES.get("busy")().run(torch.device("cpu"), 2, silent)
    metrics = ["training", "evaluation", "click to six views painted"]
    assert [(row.metric, row.case) for row in rows] == [(m, load) for m in metrics for load in busy.LOADS]
    assert pages == [("http://127.0.0.1:1/", 2, "chromium")] * 2
    for alone, beside in zip(rows[::2], rows[1::2], strict=True):
        assert (alone.ratio, alone.repeats) == (None, 2)
        assert beside.ratio_to == "alone"
        assert beside.low is not None
        assert beside.high is not None
        assert beside.low <= beside.value <= beside.high
    assert (rows[5].value, rows[5].ratio) == (50.0, 2.0)


def test_a_command_that_fails_ends_the_bench_and_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    @contextmanager
    def load() -> Iterator[None]:
        try:
            yield
        finally:
            left.append("load")

    monkeypatch.setattr(busy, "LOADS", {"alone": load})
    with pytest.raises(subprocess.CalledProcessError):
        busy.command_under("alone", "evaluate", "missing")
    assert left == ["load"]
