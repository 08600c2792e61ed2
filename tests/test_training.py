"""Training on real digits: learns, keeps the best, and goes on after a stop or a kill to identical weights."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gpvae_core import run_files
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.encoders.base import Stage
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_json, read_metrics, read_tensors, write_snapshot
from gpvae_core.training import resume, train
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

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
import sys, gpvae_core.training_loop as loop
from gpvae_core.training import resume
from pathlib import Path
loop.SAVE_SECONDS = 0.0
resume(Path(sys.argv[1]))
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
    assert "resume(Path(sys.argv[1]))" in KILLED
    script = KILLED.replace(
        "resume(Path(sys.argv[1]))",
        "import json; from gpvae_core.config import parse_config; from gpvae_core.training import train\n"
        "train(parse_config(json.loads(sys.argv[2])), Path(sys.argv[1]))",
    )
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


def test_a_full_disk_at_the_start_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for part in ("save_file", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(run_files, part, full)
            with pytest.raises((UserError, OSError)):
                train(config(epochs=1), tmp_path / "run", data=DIGITS)
        assert not (tmp_path / "run").exists()
    train(config(epochs=1), tmp_path / "run", data=DIGITS)


def finite(run: Path, which: str) -> bool:
    return all(bool(value.isfinite().all()) for value in weights(run, which).values())


@pytest.mark.parametrize("save_seconds", [0.0, 1e9], ids=["saved at each step", "not yet saved"])
def test_divergence_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_seconds: float
) -> None:
    monkeypatch.setattr("gpvae_core.training_loop.SAVE_SECONDS", save_seconds)

    def spoil(epoch: int, model: VAE, row: dict[str, Any]) -> None:
        if epoch == 3:
            with torch.no_grad():
                next(model.parameters()).fill_(float("inf"))

    with pytest.raises(UserError, match=r"diverged in epoch 4 .* the best weights, of epoch 3, are kept"):
        train(config(epochs=9), tmp_path / "run", data=DIGITS, on_epoch=spoil)
    assert finite(tmp_path / "run", "last")
    assert finite(tmp_path / "run", "best")
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 3
    monkeypatch.undo()
    assert_same(resume(tmp_path / "run"), train(config(epochs=9), tmp_path / "whole", data=DIGITS))


def test_divergence_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged"):
        train(config("vae", lr=1e6, epochs=30), tmp_path / "run", data=DIGITS)


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_goes_on_on_another_kind_of_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = train(config(epochs=2), tmp_path / "run", data=DIGITS)
    edit_json(run / "last" / "state.json", device="cuda", rng="00" * 16, epoch_rng="00" * 16)
    resume(run, epochs=3)
    assert "trained on cuda before, now on cpu" in caplog.text
    assert read_json(run / "last" / "state.json")["device"] == "cpu"
    assert [row["epoch"] for row in read_metrics(run / "metrics.jsonl")] == [1, 2, 3]


def test_an_epoch_begun_anew_on_another_device_counts_its_passes_anew(tmp_path: Path) -> None:
    run = train(config("vae", epochs=1), tmp_path / "run", data=DIGITS)
    edit_json(run / "last" / "state.json", device="cuda", step=5, passes=10**6, rng="00" * 16, epoch_rng="00" * 16)
    resume(run, epochs=2)
    assert "passes" not in read_metrics(run / "metrics.jsonl")[-1], "a VAE has none to count"


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()


def state(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit_json(run / "last" / "state.json", **changes)


def meta(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit_json(run / "meta.json", **changes)


def text(name: str, content: str) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / name).write_text(content)

    return write


def other_optimizer(run: Path) -> None:
    tensors = read_tensors(run / "last" / "optimizer.safetensors")
    save_file({k: v if v.ndim == 0 else v.flatten()[:3].clone() for k, v in tensors.items()}, run / "last" / "o")
    os.replace(run / "last" / "o", run / "last" / "optimizer.safetensors")


GOOD_ROW = '{"epoch": 1, "validation_elbo": -30.0, "seconds": 1.0}'


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("last"), "last' is missing"),
        (remove("last/state.json"), "last' is missing"),
        (remove("meta.json"), "no meta.json"),
        (remove("last/optimizer.safetensors"), "is missing"),
        (state(epoch="x"), "epoch"),
        (state(epoch=None), "epoch"),
        (state(best_elbo="x"), "best_elbo"),
        (state(rng="zz"), "does not fit"),
        (state(rng="00"), "does not fit"),
        (state(format=99), "newer version"),
        (meta(event_shape=[8, 8]), "event_shape"),
        (meta(event_shape=[1, -8, 8]), "event_shape"),
        (meta(data_fingerprint=None), "data_fingerprint"),
        (text("config.json", '{"format": 1, "method": "gp"}'), "damaged or not from this version"),
        (text("config.json", '{"format": 1, "method": "gp", "encoder": {"kind": 3}}'), "damaged"),
        (text("metrics.jsonl", f"12\n{GOOD_ROW}\n"), "line 1 of"),
        (text("metrics.jsonl", f"{{\n{GOOD_ROW}\n"), "line 1 is not JSON"),
        (text("metrics.jsonl", '{"a": 1}\n'), "line 1 of"),
        (other_optimizer, "does not fit"),
    ],
)
def test_a_damaged_run_is_not_resumed(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    damage(run)
    before = weights(run, "best")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        resume(run, epochs=2)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in weights(run, "best").items())


def test_fewer_epochs_than_done_are_refused(tmp_path: Path) -> None:
    run = train(config(epochs=2), tmp_path / "run", data=DIGITS)
    with pytest.raises(UserError, match="at least the 2 done, got 1"):
        resume(run, epochs=1)
    assert read_json(run / "config.json")["train"]["epochs"] == 2


def test_the_record_tells_wall_time_and_is_readable_like_the_rest(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    assert read_json(run / "meta.json")["seconds"] > 0
    assert len({path.stat().st_mode for path in (run / "best").iterdir()}) == 1


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    from filelock import FileLock

    with FileLock(tmp_path / ".run.lock"), pytest.raises(UserError, match="another process"):
        resume(run, epochs=2)


def last_bound(run: Path) -> float:
    return read_metrics(run / "metrics.jsonl")[-1]["train_bound"]


def test_bfloat16_computes_in_bfloat16_and_trains_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train(config("gp", epochs=3), tmp_path / "plain", data=DIGITS)
    seen: set[torch.dtype] = set()
    decode, own = VAE.decode, threading.get_ident()

    def spy(self: VAE, z: torch.Tensor) -> torch.Tensor:
        g = decode(self, z)  # jobs that other tests started may decode in threads of theirs
        seen.update([g.dtype] if torch.is_grad_enabled() and threading.get_ident() == own else [])
        return g

    monkeypatch.setattr(VAE, "decode", spy)
    other = train(config("gp", epochs=3, bfloat16=True), tmp_path / "other", data=DIGITS)
    assert seen == {torch.bfloat16}
    assert last_bound(other) == pytest.approx(last_bound(plain), rel=0.1, abs=2.0)


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo looks, and hides it
@pytest.mark.parametrize("method", ["vae", pytest.param("gp", marks=pytest.mark.slow)])
def test_compiled_networks_are_compiled_and_train_alike(method: str, tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    plain = train(config(method, epochs=2), tmp_path / "plain", data=DIGITS)
    counters.clear()
    other = train(config(method, epochs=2, compile=True), tmp_path / "other", data=DIGITS)
    assert counters["stats"]["unique_graphs"] > 0
    assert last_bound(other) == pytest.approx(last_bound(plain), abs=0.05)


def test_compiling_without_a_compiler_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler"):
        train(config(epochs=1, compile=True), tmp_path / "run", data=DIGITS)


def test_each_epoch_takes_every_image_once_in_an_order_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[torch.Tensor] = []
    batch = DeviceSplit.batch
    monkeypatch.setattr(DeviceSplit, "batch", lambda self, index: [taken.append(index), batch(self, index)][1])
    train(config(epochs=2), tmp_path / "run", data=DIGITS)
    n, of_train = len(DIGITS.train), [index for index in taken if len(index) <= 128]
    orders = torch.cat(of_train)[: 2 * n].view(2, n)
    assert torch.equal(orders.sort(1).values, torch.arange(n).expand(2, n))
    assert not torch.equal(orders[0], orders[1])
    assert (orders[0][1:] > orders[0][:-1]).float().mean() < 0.6


def test_samples_of_z_are_as_many_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()

    def spy(vae: VAE, x: torch.Tensor, n: int, k: int, generator: torch.Generator, how: BoundSettings) -> Any:
        seen.add(k)
        return training_bound(vae, x, n, k, generator, how)

    monkeypatch.setattr("gpvae_core.inference.amortized.training_bound", spy)
    train(config(epochs=1, samples=3), tmp_path / "run", data=DIGITS)
    assert seen == {3}


def test_the_score_is_of_the_validation_images(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    model = config().build(DIGITS.event_shape)
    model.load_state_dict(weights(run))
    x = DIGITS.validation.pixels()
    with torch.no_grad():
        exact = model.log_weights(x, 400, torch.Generator().manual_seed(1)).mean(0)
    noise = 3 * exact.std() / len(x) ** 0.5
    score = read_metrics(run / "metrics.jsonl")[0]["validation_elbo"]
    assert score == pytest.approx(float(exact.mean()), abs=float(noise))
    half = replace(DIGITS, validation=DIGITS.validation.take(np.arange(len(x) // 2)))
    assert read_metrics(train(config(epochs=1), tmp_path / "half", data=half) / "metrics.jsonl")[0] != score


@pytest.mark.parametrize(("settings", "kept"), [({}, 0.31), ({"sigma_x": 0.05, "learn_sigma_x": False}, 0.05)])
def test_a_likelihood_is_taken_over_unless_it_was_set(tmp_path: Path, settings: dict[str, Any], kept: float) -> None:
    origin = config("vae", sigma_x=0.31).build(DIGITS.event_shape)
    run = train(config(epochs=1, lr=1e-12, **settings), tmp_path / "run", data=DIGITS, init_from=("vae", origin))
    model = config(**settings).build(DIGITS.event_shape)
    model.load_state_dict(weights(run))
    assert float(model.likelihood.state_dict()["log_sigma_x"].exp()) == pytest.approx(kept, rel=1e-4)


def test_stages_move_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First half of the epochs the decoder alone, then all; also after a stop."""
    stages = (Stage("decoder", ("decoder.",), 0.5), Stage("all", ("",), 0.5))
    monkeypatch.setattr("gpvae_core.encoders.gaussian.GaussianEncoder.stages", lambda self: stages)
    moved: list[set[str]] = []
    before: dict[str, torch.Tensor] = {}

    def watch(epoch: int, model: VAE, row: dict[str, Any]) -> None:
        now = {name: value.clone() for name, value in model.state_dict().items()}
        moved.append({name.split(".")[0] for name in before if not torch.equal(before[name], now[name])})
        before.update(now)

    with pytest.raises(Cancelled):
        train(config("vae"), tmp_path / "run", data=DIGITS, on_epoch=watch, progress=StopAt(STEPS + 3))
    resume(tmp_path / "run", on_epoch=watch)
    assert moved[1:] == [{"decoder"}, {"decoder", "encoder", "likelihood"}, {"decoder", "encoder", "likelihood"}]
    monkeypatch.undo()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_to_the_same_place(tmp_path: Path) -> None:
    runs = [train(config(epochs=10), tmp_path / device, data=DIGITS, device=device) for device in ("cpu", "cuda")]
    scores = [read_metrics(run / "metrics.jsonl")[-1]["validation_elbo"] for run in runs]
    assert scores[0] == pytest.approx(scores[1], abs=5)
