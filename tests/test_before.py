"""Run folders and sweeps written by an earlier state of the code are read, resumed and gone on with as before.

`tests/before` holds two tiny runs on the digits (a GP encoder; one latent dimension and a kept epoch), the results of a
sweep, and what that code made of them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.run_files import read_metrics, read_tensors
from gpvae_core.run_summaries import list_runs
from gpvae_core.runs import load_run
from gpvae_core.sweep.config import read_sweep
from gpvae_core.sweep.plan import plan
from gpvae_core.sweep.results import FILE, open_results
from gpvae_core.training import resume

BEFORE = Path(__file__).with_name("before")
EXPECTED: dict[str, Any] = json.loads((BEFORE / "expected.json").read_text())


@pytest.mark.parametrize("name", ["gp", "vae"])
def test_a_run_gives_the_answers_that_it_gave(name: str) -> None:
    run, expected = load_run(BEFORE / name, device="cpu"), EXPECTED[name]
    q = run.posterior(run.data.test.pixels(np.arange(3)))
    assert q.mean.tolist() == pytest.approx(np.array(expected["mean"]), rel=1e-4, abs=1e-6)
    assert q.variance.tolist() == pytest.approx(np.array(expected["variance"]), rel=1e-4)
    found = evaluate(run, EvaluationSettings(instances=3, truths=3, k=5))
    values = found.elbo.mean, found.iwae.mean, found.log_px.mean, found.best_gaussian_elbo.diagonal.mean
    assert values == pytest.approx([expected[k] for k in ("elbo", "iwae", "log_px", "best_diagonal")], abs=0.01)


def test_they_are_listed() -> None:
    runs, damaged = list_runs(BEFORE)
    assert damaged == []
    assert [(run.method, run.latent_dim, run.epochs, run.finished) for run in runs] == [
        ("gp", 2, 2, True),
        ("vae", 1, 2, True),
    ]


def test_kept_epochs_are_there() -> None:
    assert load_run(BEFORE / "vae", epoch=2, device="cpu").kept_epochs == [2]


def test_a_run_is_resumed_to_the_same_weights(tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "gp", tmp_path / "gp")
    resume(tmp_path / "gp", epochs=3, device="cpu")
    expected = EXPECTED["resumed"]
    row = read_metrics(tmp_path / "gp" / "metrics.jsonl")[-1]
    assert {k: row[k] for k in expected["metrics"]} == pytest.approx(expected["metrics"], abs=0.01)
    weights = [w.double() for w in read_tensors(tmp_path / "gp" / "last" / "weights.safetensors").values()]
    assert float(sum(w.sum() for w in weights)) == pytest.approx(expected["sum"], rel=1e-4)
    assert float(sum(w.square().sum() for w in weights)) == pytest.approx(expected["square"], rel=1e-4)


def test_a_sweep_finds_its_results(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript((BEFORE / "results.sql").read_text())
    connection.close()
    sweep = read_sweep(BEFORE / "small.toml")
    results = open_results(tmp_path)
    rows = {row.key: row for row in results.rows(sweep.setup_key())}
    assert set(rows) == {job.key for job in plan(sweep)}, "a key changed, so that all would be trained anew"
    assert all(row.status == "done" for row in rows.values())
    assert {job.folder for job in plan(sweep)} == {row.folder for row in rows.values()}
