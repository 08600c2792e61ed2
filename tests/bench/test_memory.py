"""The bench of the server's memory, with few loads."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpvae_core
from gpvae_core.bench import memory
from gpvae_core.bench.base import run_bench
from gpvae_core.progress import Progress, silent


def quick(root: Path, progress: Progress) -> None:
    gpvae_core.train("vae", "digits", out=root / "vae", settings={"epochs": 1}, progress=progress)


def test_it_loads_every_page_and_gives_the_memory_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "train_default_pair", quick)
    monkeypatch.setattr(memory, "SESSION_S", 0.0)
    monkeypatch.setattr(memory, "LOADS_A_REPEAT", 4)
    before, *after = run_bench("memory", "cpu", 1, silent)["rows"]
    assert [row["case"] for row in (before, *after)] == [f"after {loads} loads" for loads in range(10, 15)]
    assert before["value"] > 50  # Python alone has less
    assert [row["ratio"] for row in after] == pytest.approx([row["value"] / before["value"] for row in after])
