"""A damaged run is one line wherever it is read, its files stay as they are, and the runs beside it are shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.torch import save_file

from dashboards.lab.library import RunLibrary
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.run_files import read_metrics, read_snapshot, read_tensors
from gpvae_core.run_summaries import list_runs
from gpvae_core.runs import Run, load_run
from gpvae_core.training import resume, train
from tests.commands import gpvae
from tests.damage import BRACKETS, Damage, damages, too_large

BEFORE = Path(__file__).with_name("before")
DAMAGES = damages()
LARGE = list(too_large())
QUICK = DAMAGES[::9]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on real digits, which states the checksums of its weights."""
    data = DataConfig(name="digits")
    settings = {"epochs": 2, "net.hidden": 8, "latent_dim": 1}
    return train(make_config("vae", data, (1, 8, 8), settings), tmp_path_factory.mktemp("sound") / "run")


class Answers(NamedTuple):
    """What stands for an evaluation, which takes a second: sums of q(z|x) and of log p(x) of three test images."""

    mean: float
    log_px: float

    def to_json(self) -> list[float]:
        return [self.mean, self.log_px]


def answers(run: Run, *_: object) -> Answers:
    x = run.data.test.pixels(np.arange(3))
    return Answers(float(run.posterior(x).mean.sum()), float(run.truth.log_px(x).log_px.sum()))


@pytest.fixture(autouse=True)
def quick_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpvae_core.evaluation.evaluate.evaluate", answers)


@pytest.fixture(scope="module")
def score(sound: Path) -> Answers:
    return answers(load_run(sound))


def content(folder: Path) -> dict[str, bytes | str]:
    """Everything in a run folder: the bytes of each file, of a large one their number; what is no file by its kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = "folder" if path.is_dir() else "pipe"
        if path.is_file():
            kind = path.read_bytes() if path.stat().st_size < 2**27 else f"{path.stat().st_size} bytes"
        found[str(path.relative_to(folder))] = kind
    return found


def one_line(text: str, name: str = "") -> None:
    assert text.count("\n") == 1, text[:2000]
    assert text.startswith("gpvae: ")
    assert name in text
    assert len(text) < 1000


def check(damage: Damage, sound: Path, score: Answers, root: Path) -> None:
    """Each command is refused in one line, or gives what it gives of the sound run; at least one is refused."""
    damaged = root / "damaged"
    shutil.copytree(sound, damaged)
    shutil.copytree(sound, root / "beside")
    damage.apply(damaged)
    before = content(damaged)
    listed = gpvae("runs", root, "--json", cwd=root)
    assert listed.returncode == 0
    names = [Path(row["run"]).name for row in json.loads(listed.stdout)]
    assert "beside" in names
    refused = "damaged" not in names
    if refused:
        one_line(listed.stderr, "damaged")
    library = RunLibrary([root])
    assert "beside" in library.names()
    assert ("damaged" in library.names()) is not refused
    assert len(library.damaged) == refused
    if not refused:
        with suppress(UserError):
            library.run("damaged")
    evaluated = gpvae("evaluate", damaged, "--json", cwd=root)
    if evaluated.returncode:
        one_line(evaluated.stderr.splitlines(keepends=True)[-1], "damaged")
        assert evaluated.returncode == 2
        refused = True
    else:
        assert json.loads(evaluated.stdout) == score.to_json()
    assert content(damaged) == before
    resumed = gpvae("train", "--resume", damaged, "--epochs", "3", cwd=root)
    if resumed.returncode:
        one_line(resumed.stderr.splitlines(keepends=True)[-1])
        assert resumed.returncode == 2
        refused = True
        assert content(damaged) == before
    assert refused, "nothing notices the damage"


@pytest.mark.parametrize("damage", QUICK, ids=lambda damage: damage.name)
def test_a_damaged_file_is_one_line_and_nothing_is_lost(
    damage: Damage, sound: Path, score: Answers, tmp_path: Path
) -> None:
    check(damage, sound, score, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_every_damaged_file_is_one_line_and_nothing_is_lost(
    damage: Damage, sound: Path, score: Answers, tmp_path: Path
) -> None:
    check(damage, sound, score, tmp_path)


@pytest.mark.parametrize("damage", LARGE, ids=lambda damage: damage.name)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    damage: Damage, sound: Path, score: Answers, tmp_path: Path
) -> None:
    check(damage, sound, score, tmp_path)
    large = tmp_path / "large"
    shutil.copytree(sound, large)
    damage.apply(large)
    reads = load_run if damage.name.startswith(("best", "config", "meta.json")) else lambda run: resume(run, epochs=3)
    with pytest.raises(UserError, match=r"' cannot be read: it is too large: wanted at most \d+ MB"):
        reads(large)


def test_a_file_that_the_memory_does_not_hold_is_one_line(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("gpvae_core.reading.read_stream", full)
    with pytest.raises(UserError, match=r"weights\.safetensors' cannot be read: there is too little memory for it"):
        read_tensors(sound / "best" / "weights.safetensors")


def test_a_long_training_is_read_whole_and_goes_on_without_its_metrics(sound: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    path, longest = run / "metrics.jsonl", -1.2345678901234567e-100
    values = dict.fromkeys(("train_bound", "validation_elbo", "passes"), longest) | {"seconds": -longest}
    lines = [json.dumps({"epoch": epoch, **values}) + "\n" for epoch in range(1, 100_001)]
    path.write_text("".join(lines[:80_000]))
    assert len(read_metrics(path)) == 80_000
    path.write_text("".join(lines) * 2)
    with pytest.raises(UserError, match=r"at most 17 MB; move it elsewhere, and the run goes on without it"):
        resume(run, epochs=3)
    path.rename(tmp_path / "metrics.jsonl")
    assert load_run(run).metrics == []
    resume(run, epochs=3)
    assert [row["epoch"] for row in read_metrics(path)] == [3]


@pytest.mark.parametrize("name", ["gp", "vae"])
def test_a_run_without_its_last_weights_is_shown(name: str, tmp_path: Path) -> None:
    """They are needed only to go on with it, and are left out to save space."""
    shutil.copytree(BEFORE / name, tmp_path / name)
    shutil.rmtree(tmp_path / name / "last")
    [whole] = [run for run in list_runs(BEFORE)[0] if run.path.name == name]
    runs, damaged = list_runs(tmp_path)
    assert damaged == []
    assert runs == [replace(whole, path=tmp_path / name)]
    assert RunLibrary([tmp_path / name]).names() == [name]
    with pytest.raises(UserError, match="last' is missing"):
        resume(tmp_path / name, epochs=3)


def test_a_run_without_last_that_was_stopped_is_not_finished(tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "vae", tmp_path / "vae")
    shutil.rmtree(tmp_path / "vae" / "last")
    config = tmp_path / "vae" / "config.json"
    config.write_text(config.read_text().replace('"epochs": 2', '"epochs": 9'))
    [run] = list_runs(tmp_path)[0]
    assert (run.epochs, run.epochs_wanted, run.finished) == (2, 9, False)


def test_blank_lines_in_the_metrics_are_no_damage(tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "vae", tmp_path / "vae")
    path = tmp_path / "vae" / "metrics.jsonl"
    rows = read_metrics(path)
    path.write_text(path.read_text().replace("\n", "\r\n") + "\n  \n\n")
    assert read_metrics(path) == rows
    resume(tmp_path / "vae", epochs=3, device="cpu")
    assert [row["epoch"] for row in read_metrics(path)] == [1, 2, 3]
    assert "" not in path.read_text().splitlines()


def test_a_line_that_a_kill_cut_off_is_written_again(tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "vae", tmp_path / "vae")
    path = tmp_path / "vae" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 3, "train_b')
    resume(tmp_path / "vae", epochs=3, device="cpu")
    assert [row["epoch"] for row in read_metrics(path)] == [1, 2, 3]


def test_a_run_in_a_folder_whose_name_is_not_utf_8(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xffn")
    shutil.copytree(sound, folder)
    run = load_run(folder)
    assert answers(run) == answers(load_run(sound))
    resume(folder, epochs=3)
    assert [row["epoch"] for row in read_metrics(folder / "metrics.jsonl")] == [1, 2, 3]
    start = (str(folder), run.model)
    warm = train(run.config, tmp_path / os.fsdecode(b"w\xff"), init_from=start)
    assert load_run(warm).meta.init_from == str(folder)
    assert set(RunLibrary([tmp_path]).names()) == {r"r\udcffn", r"w\udcff"}
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(BEFORE.parents[1])}
    command = [sys.executable, "-m", "gpvae_core.cli", "runs", os.fsencode(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"w\xff" in done.stdout


def test_weights_written_before_checksums_were_kept_are_read(tmp_path: Path) -> None:
    for name in ("gp", "vae"):
        for which in ("best", "last"):
            folder = BEFORE / name / which
            assert "checksums" not in (folder / "state.json").read_text()
            assert read_snapshot(folder, "weights").keys() == read_tensors(folder / "weights.safetensors").keys()


@pytest.mark.parametrize("lost", ["0.exp_avg", "0.exp_avg_sq", "3.step"])
def test_an_optimizer_that_lacks_a_tensor_is_refused_without_a_checksum_too(lost: str, tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "vae", tmp_path / "vae")
    path = tmp_path / "vae" / "last" / "optimizer.safetensors"
    tensors = read_tensors(path)
    del tensors[lost]
    save_file(tensors, path)
    before = content(tmp_path / "vae")
    with pytest.raises(UserError, match=r"does not fit the run's config.json"):
        resume(tmp_path / "vae", epochs=3)
    assert content(tmp_path / "vae") == before


def test_settings_that_do_not_suit_the_data_change_nothing(tmp_path: Path) -> None:
    """They are noticed when inference begins, after the weights were read; config.json had the new epochs by then."""
    data = DataConfig(name="circle")
    fast = {"epochs": 1, "inference.recovery_epochs": 1, "inference.encoder_epochs": 1, "net.hidden": 8}
    run = train(make_config("mapa:5", data, (1, 1, 2), fast), tmp_path / "run")
    config = run / "config.json"
    config.write_text(config.read_text().replace('"draws": 5', '"draws": 99999'))
    before = content(run)
    with pytest.raises(UserError, match=r"wanted draws of at most the \d+ training points, got 99999"):
        resume(run, epochs=2)
    assert content(run) == before


def test_a_damaged_run_among_the_places_does_not_hide_the_others(sound: Path, tmp_path: Path) -> None:
    """It is refused where the server starts; damaged later, it is named, and the others are shown."""
    for name in ("one", "two"):
        shutil.copytree(sound, tmp_path / name)
    library = RunLibrary([tmp_path / "one", tmp_path / "two"])
    (tmp_path / "one" / "config.json").write_text(BRACKETS)
    shutil.copytree(sound, tmp_path / "three")
    assert library.look(finished_only=False) == library.damaged
    assert library.names() == ["two"]
    assert len(library.damaged) == 1
    with pytest.raises(UserError, match=r"one/config\.json' is damaged"):
        RunLibrary([tmp_path / "one", tmp_path / "two"])
