"""The bench of models of images given columns, at a small size, and the peak memory of a process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from gpvae_core.bench import gp_prior, views
from gpvae_core.bench.base import BENCHES, run_bench
from gpvae_core.inference.base import INFERENCES
from gpvae_core.methods import get_method, methods
from gpvae_core.progress import silent


def test_every_method_given_columns_is_timed_but_the_one_for_series() -> None:
    timed = {get_method(case.partition(",")[0]).inference for case in gp_prior.CASES}
    given_columns = {m.inference for m in methods().values() if INFERENCES.get(m.inference).conditional}
    assert timed == given_columns - {"markov"}


def test_each_is_a_row_beside_the_first_and_its_memory_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def memory(case: str, digits: int) -> gp_prior.Row:
        asked.append((case, digits))
        return gp_prior.Row(case, gp_prior.MEMORY, 1.0, "MB")

    monkeypatch.setattr(views, "IMAGES", 70)
    monkeypatch.setattr(views, "HELD_OUT", 4)
    monkeypatch.setattr(gp_prior, "DIGITS", (1, 2))
    monkeypatch.setattr(gp_prior, "memory", memory)
    assert BENCHES.get("gp-prior").rounds < BENCHES.get("inference").rounds == 20
    rows = run_bench("gp-prior", "cpu", None, silent)["rows"]
    epochs = {row["case"]: row for row in rows if row["metric"] == gp_prior.EPOCH}
    assert set(epochs) == set(gp_prior.CASES)
    assert all(row["value"] > 0 and row["repeats"] == BENCHES.get("gp-prior").rounds for row in epochs.values())
    assert {row["ratio_to"] for row in epochs.values()} == {None, gp_prior.FIRST}
    assert [row["case"] for row in rows if row["metric"] == gp_prior.GROWTH] == [
        "svgp:32, N = 4,050",
        "svgp:32, N = 8,100",
    ]
    assert asked == [*((case, 1) for case in gp_prior.CASES), (gp_prior.FIRST, 2)]


def test_only_the_first_steps_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "IMAGES", 600)
    taken: list[int] = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: (taken.append(1), step(self))[1])
    gp_prior.epoch("cvae", views.views(1), torch.device("cpu"), steps=2)()
    assert len(taken) == 2


def test_the_peak_of_a_process_is_not_that_of_the_one_which_started_it() -> None:
    large = np.ones(300_000_000, np.uint8)  # 300 MB of this process
    script = "import sys\nfrom gpvae_core.peak import peak_bytes\nsys.stdout.write(str(peak_bytes()))"
    small = int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    filled = script.replace("\nsys", "\nx = bytearray(b'1') * 150_000_000\nsys")
    more = int(subprocess.run([sys.executable, "-c", filled], check=True, capture_output=True, text=True).stdout)
    assert large.nbytes > small
    assert more - small == pytest.approx(150e6, rel=0.1)
