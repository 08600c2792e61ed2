"""The command line as a user types it: names others build on, and one clear line with exit code 2 on bad input."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Done, gpvae

ROOT = Path(__file__).parents[2]


def test_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpvae_core.cli", "train", "--method", "pg"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=240)
    one_line_error(Done(done.returncode, done.stdout, done.stderr), "unknown method 'pg'", "did you mean 'gp'")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VAE and a GP run on digits, trained by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    small = ["--dataset", "digits", "--latent-dim", "2", "--seed", "1", "--set", "net.hidden=32", "--epochs", "8"]
    assert gpvae("train", "--method", "vae", *small, "--out", "vae", cwd=folder).returncode == 0
    done = gpvae("train", "--method", "gp", *small, "--init-from", "vae", "--out", "gp", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "best validation ELBO" in done.stdout
    return folder


def one_line_error(done: Done, *parts: str) -> None:
    """Exit code 2, nothing on stdout, and a single line on stderr that holds `parts`."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]


def check_entry(entry: dict[str, Any]) -> None:
    assert {"mean", "se", "n"} <= set(entry)
    assert isinstance(entry["mean"], float)
    assert entry["n"] > 0


@pytest.mark.parametrize("run", ["vae", "gp"])
def test_evaluate_prints_one_json_object(runs: Path, run: str) -> None:
    done = gpvae("evaluate", run, "--json", "--instances", "12", "--truths", "12", "--k", "50", cwd=runs)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for name in ("elbo", "iwae", "log_px"):
        check_entry(result[name])
    assert result["iwae"]["k"] == 50
    assert result["log_px"]["truth"] == "grid"
    for name in ("diagonal", "full"):
        check_entry(result["best_gaussian_elbo"][name])
    for name in ("inference", "approximation", "amortization"):
        check_entry(result["gaps"][name])
    assert result["gaps"]["inference"]["mean"] > 0
    assert result["elbo"]["mean"] < result["iwae"]["mean"]
    assert ("correlations" in result and bool(result["correlations"])) == (run == "gp")


def test_evaluate_for_people_is_a_table(runs: Path) -> None:
    done = gpvae("evaluate", "gp", "--instances", "10", "--truths", "10", "--k", "10", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert "gaps.amortization" in done.stdout


def test_runs_lists_what_is_there_and_names_what_is_damaged(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "vae", tmp_path / "runs" / "vae")
    shutil.copytree(runs / "gp", tmp_path / "runs" / "broken")
    (tmp_path / "runs" / "broken" / "config.json").write_text('{"format": 1, "method"')
    done = gpvae("runs", "runs", "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert [row["method"] for row in rows] == ["vae"]
    assert rows[0]["epochs"] == 8
    assert rows[0]["finished"] is True
    assert "broken" in done.stderr
    assert "damaged" in done.stderr


@pytest.mark.parametrize(
    "what", ["methods", "datasets", "encoders", "networks", "likelihoods", "settings", "presets", "benches", "devices"]
)
def test_list_shows_everything_with_one_line_each(what: str, tmp_path: Path) -> None:
    done = gpvae("list", what, "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert rows
    assert all("\n" not in str(value) for row in rows for value in row.values())
    names = {row.get("name") for row in rows}
    expected = {"methods": {"vae", "gp"}, "datasets": {"digits", "mnist", "omniglot", "cifar10", "svhn", "celeba"}}
    assert expected.get(what, set()) <= names


def test_runs_lists_a_run_that_is_named_and_tells_of_links(runs: Path, tmp_path: Path) -> None:
    """Before, a run had 'no runs yet', and a link to one passed for another."""
    shutil.copytree(runs / "vae", tmp_path / "vae")
    (tmp_path / "same").symlink_to("vae")
    for place, cwd in (("vae", tmp_path), (".", tmp_path / "vae"), ("same", tmp_path)):
        [row] = json.loads(gpvae("runs", place, "--json", cwd=cwd).stdout)
        assert (Path(row["run"]).name, row["epochs"]) == ("same" if place == "same" else "vae", 8)
    done = gpvae("runs", ".", cwd=tmp_path)
    assert f"same: a link to '{tmp_path.resolve() / 'vae'}'" in done.stdout


def test_damaged_metrics_end_an_evaluation_before_it_computes(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "vae", tmp_path / "vae")
    with (tmp_path / "vae" / "metrics.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    monkeypatch.setattr("gpvae_core.evaluation.evaluate.whole_split", lambda *_: pytest.fail("it computes first"))
    one_line_error(gpvae("evaluate", "vae", cwd=tmp_path), "metrics.jsonl' is damaged")


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["runs"], ["list"], ["bench"], ["evaluate", "gp"]])
@pytest.mark.parametrize("kind", ["x", "--x"])
def test_a_long_argument_gives_no_long_line(runs: Path, command: list[str], kind: str) -> None:
    done = gpvae(*command, kind + "x" * 100_000, cwd=runs)
    one_line_error(done)
    assert len(done.stderr) < 1300


def test_training_longer_and_resuming(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "vae", tmp_path / "vae")
    done = gpvae("train", "--resume", "vae", "--epochs", "9", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "9 epochs" in done.stdout
    assert "already finished" not in done.stdout
    again = gpvae("train", "--resume", "vae", cwd=tmp_path)
    assert (again.returncode, again.stdout.splitlines()[-1].partition(" (")[0]) == (
        0,
        "vae: already finished, nothing was trained",
    )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "--method", "pg"], ["unknown method 'pg'", "did you mean 'gp'"]),
        (["train", "--dataset", "mnits"], ["unknown dataset 'mnits'", "did you mean 'mnist'"]),
        (["train", "--set", "lr"], ["wanted --set key=value, got 'lr'"]),
        (["train", "--set", "train.epoch=3"], ["did you mean 'train.epochs'"]),
        (["train", "--set", "lr=-1"], ["train.lr", "greater than 0"]),
        (["train", "--epochs", "none"], ["--epochs", "valid integer"]),
        (["train", "--preset", "kim"], ["unknown preset 'kim'"]),
        (["train", "--device", "quantum"], ["wanted device 'quantum'", "cpu"]),
        (["train", "--out", "vae"], ["'vae' exists already"]),
        (["train", "--init-from", "nothing"], ["there is no run 'nothing'"]),
        (["train", "--init-from", "vae", "--latent-dim", "3"], ["same data shape, networks and latent dimension"]),
        (["train", "--resume", "vae", "--method", "gp"], ["leave out --method"]),
        (["train", "--resume", "vae", "--seed", "0"], ["leave out --seed"]),
        (["train", "--seed", "99999999999999999999"], ["--seed"]),
        (["train", "--set", "name=mnist"], ["use --dataset"]),
        (["train", "--out", "vae/config.json"], ["exists already: choose another folder (--out)"]),
        (["runs", "nothing"], ["there is no folder 'nothing'"]),
        (["train", "--resume", "nothing"], ["there is no run 'nothing'"]),
        (["train", "--metod", "gp"], ["--metod"]),
        (["evaluate", "gpp"], ["there is no run 'gpp'", "did you mean 'gp'"]),
        (["evaluate", "gp", "--split", "trian"], ["wanted --split test, validation or train"]),
        (["list", "method"], ["unknown list 'method'", "did you mean 'methods'"]),
        (["bench", "speed"], ["unknown bench 'speed'"]),
        (["explore", "nothing", "--no-open"], ["nothing"]),
        (["explore", "gp", "--port", "70000"], ["--port"]),
        (["trian"], ["trian"]),
    ],
)
def test_bad_input_is_one_clear_line(runs: Path, arguments: list[str], parts: list[str]) -> None:
    one_line_error(gpvae(*arguments, cwd=runs), *parts)


@pytest.mark.parametrize(("option", "message"), [("--method", "unknown method ''"), ("--dataset", "''")])
def test_an_empty_name_is_not_the_default(option: str, message: str, tmp_path: Path) -> None:
    one_line_error(gpvae("train", "--epochs", "1", option, "", cwd=tmp_path), message)
    assert not (tmp_path / "runs").exists()


def test_a_run_on_ones_own_images_is_used_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "here" / "noise.npz", images=images)
    done = gpvae("train", "--dataset", "array:noise.npz", "--epochs", "1", cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert ": 1 epoch in" in done.stdout
    run = tmp_path / "here" / "runs" / "array-noise-vae-d2-s0"
    done = gpvae("evaluate", run, "--json", "--instances", "3", "--k", "2", "--truths", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "here" / "noise.npz").unlink()
    one_line_error(gpvae("evaluate", run, cwd=tmp_path), "the data of run 'array-noise-vae-d2-s0'", "noise.npz")


def test_without_a_command_the_help_is_all(tmp_path: Path) -> None:
    done = gpvae(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert "evaluate" in done.stdout


def test_a_port_in_use_is_one_clear_line(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one_line_error(gpvae("explore", "gp", "--no-open", "--port", str(port), cwd=runs), str(port), "in use")


def damage_config(run: Path) -> None:
    (run / "config.json").write_text((run / "config.json").read_text()[:40])


def drop_config(run: Path) -> None:
    (run / "config.json").unlink()


def truncate_weights(run: Path) -> None:
    path = run / "best" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def foreign_weights(run: Path) -> None:
    shutil.copy(run.parent / "vae" / "best" / "weights.safetensors", run / "best" / "weights.safetensors")


def newer_version(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "format": 99}))


def no_weights(run: Path) -> None:
    shutil.rmtree(run / "best")


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (damage_config, "is damaged"),
        (drop_config, "is not a run"),
        (truncate_weights, "is damaged"),
        (foreign_weights, "does not fit"),
        (newer_version, "newer version"),
        (no_weights, "no best weights yet"),
    ],
)
def test_a_damaged_run_is_one_clear_line(runs: Path, tmp_path: Path, damage: Any, part: str) -> None:
    for name in ("vae", "gp"):
        shutil.copytree(runs / name, tmp_path / name)
    damage(tmp_path / "gp")
    one_line_error(gpvae("evaluate", "gp", "--json", cwd=tmp_path), part)


def test_a_run_on_other_data_is_refused(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "gp", tmp_path / "gp")
    meta = json.loads((tmp_path / "gp" / "meta.json").read_text())
    (tmp_path / "gp" / "meta.json").write_text(json.dumps({**meta, "data_fingerprint": "0"}))
    one_line_error(gpvae("evaluate", "gp", cwd=tmp_path), "not the one")


def test_help_has_an_example(tmp_path: Path) -> None:
    for command in ("train", "evaluate", "explore", "runs", "list", "bench"):
        done = gpvae(command, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert "Example" in done.stdout, command
    assert gpvae("--version", cwd=tmp_path).stdout.strip()
