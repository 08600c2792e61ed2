"""Training on real digits: learns, keeps the best, and goes on after a stop or a kill to identical weights."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from gpvae_core import run_files
from gpvae_core.bounds import training_bound
from gpvae_core.config import RunConfig, make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_json, read_metrics, read_tensors, write_snapshot
from gpvae_core.train import resume, train

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
STEPS = 11


def config(method: str = "gp", **settings: Any) -> RunConfig:
    return make_config(method, DATA, DIGITS.event_shape, {"epochs": 4, "net.hidden": 32, **settings})


def weights(run: Path, which: str = "last") -> dict[str, torch.Tensor]:
    return read_tensors(run / which / "weights.safetensors")


def assert_same(a: Path, b: Path) -> None:
    for which in ("last", "best"):
        left, right = weights(a, which), weights(b, which)
        assert left.keys() == right.keys()
        for name in left:
            assert torch.equal(left[name], right[name]), f"{which} {name}"
    keep = ("epoch", "train_bound", "validation_elbo")
    rows = [[{k: row[k] for k in keep} for row in read_metrics(run / "metrics.jsonl")] for run in (a, b)]
    assert rows[0] == rows[1]


class StopAt:
    """Progress that stops training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, done: int, total: int, what: str) -> None:
        if done == self.step:
            raise Cancelled


@pytest.mark.parametrize("method", ["vae", "gp"])
def test_training_learns_and_keeps_the_best_on_validation(tmp_path: Path, method: str) -> None:
    run = train(config(method, epochs=15), tmp_path / "run", data=DIGITS)
    rows = read_metrics(run / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == list(range(1, 16))
    assert rows[-1]["train_bound"] > rows[0]["train_bound"] + 50
    best = max(rows, key=lambda row: row["validation_elbo"])
    state = read_json(run / "best" / "state.json")
    assert (state["epoch"], state["validation_elbo"]) == (best["epoch"], best["validation_elbo"])


def test_the_reported_bound_is_the_mean_over_the_images(tmp_path: Path) -> None:
    """One epoch with a learning rate too small to matter, against the bound of the whole set by many samples."""
    cfg = config(epochs=1, lr=1e-12, **{"encoder.expected_kl": "closed_form"})
    run = train(cfg, tmp_path / "run", data=DIGITS)
    model = cfg.build(DIGITS.event_shape)
    model.load_state_dict(weights(run))
    with torch.no_grad():
        bound = training_bound(model, DIGITS.train.pixels(), len(DIGITS.train), 50, torch.Generator().manual_seed(1))
    assert read_metrics(run / "metrics.jsonl")[0]["train_bound"] == pytest.approx(float(bound.value.mean()), abs=0.1)


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 5, 3 * STEPS - 1])
def test_a_stopped_run_ends_with_identical_weights(tmp_path: Path, step: int) -> None:
    whole = train(config(), tmp_path / "whole", data=DIGITS)
    with pytest.raises(Cancelled):
        train(config(), tmp_path / "stopped", data=DIGITS, progress=StopAt(step))
    assert_same(whole, resume(tmp_path / "stopped"))


KILLED = """
import sys, gpvae_core.train as t
from pathlib import Path
t.SAVE_SECONDS = 0.0
t.resume(Path(sys.argv[1]))
"""


def test_a_killed_run_ends_with_identical_weights(tmp_path: Path) -> None:
    """Killed again and again at whatever moment, between two writes as well; then resumed to the end."""
    whole = train(config(epochs=6), tmp_path / "whole", data=DIGITS)
    with pytest.raises(Cancelled):
        train(config(epochs=6), tmp_path / "killed", data=DIGITS, progress=StopAt(1))
    for delay in (0.05, 0.15, 0.3):
        before = read_json(tmp_path / "killed" / "last" / "state.json")
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "killed")])
        while process.poll() is None and _state(tmp_path / "killed") == before:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        process.wait()
    assert_same(whole, resume(tmp_path / "killed"))


def _state(run: Path) -> dict[str, Any]:
    folder = run_files.snapshot_folder(run / "last")
    try:
        return json.loads((folder / "state.json").read_text()) if folder else {}
    except OSError:
        return {}


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_a_resumable_run(tmp_path: Path) -> None:
    whole = train(config(epochs=6), tmp_path / "whole", data=DIGITS)
    script = KILLED.replace(
        "t.resume(Path(sys.argv[1]))", "import json; from gpvae_core.config import parse_config\n"
    ) + ("t.train(parse_config(json.loads(sys.argv[2])), Path(sys.argv[1]))")
    arguments = [str(tmp_path / "stopped"), json.dumps(config(epochs=6).to_json())]
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stderr=subprocess.PIPE)
    while not (tmp_path / "stopped" / "last" / "state.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode != 0
    assert b"Cancelled" in errors
    assert_same(whole, resume(tmp_path / "stopped"))


def test_a_kill_between_two_renames_leaves_the_old_state(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    os.rename(run / "last", run / ".last.old")
    resume(run, epochs=2)
    assert [row["epoch"] for row in read_metrics(run / "metrics.jsonl")] == [1, 2]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    runs = [train(config(epochs=2, seed=seed), tmp_path / str(i), data=DIGITS) for i, seed in enumerate((3, 3, 4))]
    assert_same(runs[0], runs[1])
    assert not torch.equal(weights(runs[0])["decoder.0.weight"], weights(runs[2])["decoder.0.weight"])


def test_early_stopping_waits_for_patience_epochs(tmp_path: Path) -> None:
    run = train(config("vae", epochs=60, patience=2, lr=0.03), tmp_path / "run", data=DIGITS)
    rows = read_metrics(run / "metrics.jsonl")
    best = max(rows, key=lambda row: row["validation_elbo"])["epoch"]
    assert len(rows) < 60
    assert len(rows) == best + 2
    assert read_json(run / "last" / "state.json")["finished"]


def test_a_gp_run_starts_from_a_vae(tmp_path: Path) -> None:
    vae = config("vae", epochs=20)
    first = train(vae, tmp_path / "vae", data=DIGITS)
    model = vae.build(DIGITS.event_shape)
    model.load_state_dict(weights(first))
    fresh = train(config(epochs=1), tmp_path / "fresh", data=DIGITS)
    warm = train(config(epochs=1), tmp_path / "warm", data=DIGITS, init_from=("vae", model))
    scores = [read_metrics(run / "metrics.jsonl")[0]["validation_elbo"] for run in (first, fresh, warm)]
    assert scores[2] > scores[1] + 20
    assert read_json(warm / "meta.json")["init_from"] == "vae"


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="same data shape, networks and latent dimension"):
        train(config(), tmp_path / "run", data=DIGITS, init_from=("other", config(latent_dim=3).build((1, 8, 8))))
    assert not (tmp_path / "run" / "config.json").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    before = weights(run)
    with pytest.raises(UserError, match="exists already"):
        train(config(epochs=1, seed=9), run, data=DIGITS)
    assert all(torch.equal(before[name], value) for name, value in weights(run).items())


def test_a_full_disk_keeps_the_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    before = weights(run)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_files, "save_file", full)
    with pytest.raises(UserError, match="disk is full"):
        resume(run, epochs=2)
    assert all(torch.equal(before[name], value) for name, value in weights(run).items())
    with pytest.raises(UserError, match="disk is full"):
        write_snapshot(tmp_path / "x", {"weights": before}, {})


def test_divergence_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged"):
        train(config("vae", lr=1e6, epochs=30), tmp_path / "run", data=DIGITS)


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    from filelock import FileLock

    with FileLock(tmp_path / ".run.lock"), pytest.raises(UserError, match="another process"):
        resume(run, epochs=2)


@pytest.mark.parametrize("setting", ["bfloat16", "compile"])
def test_options_train_the_same_model(tmp_path: Path, setting: str) -> None:
    """bfloat16 and compiled networks reach about the bound of plain float32."""
    plain = train(config("gp", epochs=3), tmp_path / "plain", data=DIGITS)
    other = train(config("gp", epochs=3, **{setting: True}), tmp_path / "other", data=DIGITS)
    a, b = (read_metrics(run / "metrics.jsonl")[-1]["train_bound"] for run in (plain, other))
    assert b == pytest.approx(a, rel=0.1, abs=2.0)
    if setting == "compile":
        assert b == pytest.approx(a, abs=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_to_the_same_place(tmp_path: Path) -> None:
    runs = [train(config(epochs=10), tmp_path / device, data=DIGITS, device=device) for device in ("cpu", "cuda")]
    scores = [read_metrics(run / "metrics.jsonl")[-1]["validation_elbo"] for run in runs]
    assert scores[0] == pytest.approx(scores[1], abs=5)
