"""The folder of a run: its lock, what takes it over, what a refused or killed training leaves behind."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dashboards.lab.library import RunLibrary
from gpvae_core import run_files
from gpvae_core.cli.listing import runs_command
from gpvae_core.errors import UserError
from gpvae_core.guards import is_being_trained, locked
from gpvae_core.progress import Cancelled
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.training_loop import Training
from gpvae_core.vae import VAE
from tests.test_training import DIGITS, assert_same, config


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_link_to_a_run_in_training_is_that_run(tmp_path: Path) -> None:
    """Before, the lock had the name of the link, and both trained into one folder."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(tmp_path / "run")
    spellings = [tmp_path / "other" / "link", tmp_path / "other" / ".." / "run"]
    seen: list[str] = []

    def second(epoch: int, model: VAE, row: dict[str, Any]) -> None:
        for path in spellings:
            with pytest.raises(UserError, match="is being trained by another process") as error:
                resume(path)
            seen.append(str(error.value))

    train(config(epochs=1), tmp_path / "run", data=DIGITS, on_epoch=second)
    assert len(seen) == 2
    for path, message in zip(spellings, seen, strict=True):
        assert f"'{path}' (it is '{tmp_path.resolve() / 'run'}')" in message


def test_a_run_is_resumed_from_inside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    monkeypatch.chdir(run)
    resume(Path("."), epochs=2)
    assert load_run(".").name == "run"
    assert load_run("best/..").name == "run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert not list(run.glob(".*"))


def test_a_circle_of_links_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="do its links lead to one another"):
        train(config(epochs=1), tmp_path / "a", data=DIGITS)


def test_a_run_in_training_is_told_from_one_that_was_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, both were said to be stopped or to go on, with the command that resumes them."""
    out, listed, states = tmp_path / "run", [], []

    def stop(epoch: int, model: VAE, row: dict[str, Any]) -> None:
        raise Cancelled  # the state is saved

    def look(epoch: int, model: VAE, row: dict[str, Any]) -> None:
        runs_command(tmp_path)
        listed.append(capsys.readouterr().out)
        states.append(RunLibrary([tmp_path]).about("run")["state"] if is_being_trained(out) else "")
        raise Cancelled

    with pytest.raises(Cancelled):
        train(config(epochs=3), out, data=DIGITS, on_epoch=stop)
    with pytest.raises(Cancelled):
        resume(out, on_epoch=look)
    assert states == ["being trained"]
    assert "it is being trained now" in " ".join(listed[0].split())
    assert "--resume" not in listed[0]
    assert not is_being_trained(out)
    (tmp_path / ".run.lock").touch()  # as a training leaves it that is killed
    assert not is_being_trained(out)
    assert RunLibrary([tmp_path]).remark(["run"])[0].endswith(f"training was stopped; go on with it by {resuming(out)}")
    runs_command(tmp_path)
    assert resuming(out) in capsys.readouterr().out


def resuming(out: Path) -> str:
    return f"gpvae train --resume {out}"


def test_a_suggested_run_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(UserError, match=r"there is no run '.*nothere'$"):
        load_run(tmp_path / "nothere")


def test_a_lock_is_never_held_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process takes the lock between the release of the first and its deletion of the file, as it was."""
    held = []
    release = FileLock.release

    def release_and_be_overtaken(self: FileLock, force: bool = False) -> None:
        release(self, force)
        monkeypatch.setattr(FileLock, "release", release)
        held.append(FileLock(self.lock_file))
        held[0].acquire(timeout=0)

    monkeypatch.setattr(FileLock, "release", release_and_be_overtaken)
    with locked(tmp_path / "run"):
        pass
    assert held[0].is_locked
    with pytest.raises(UserError, match="another process"), locked(tmp_path / "run"):
        pass
    held[0].release()


def test_a_refused_training_leaves_nothing_behind(tmp_path: Path) -> None:
    """Before, the folders above the run stayed, and the folder of a run that had diverged at once."""
    other = ("other", config(latent_dim=3).build((1, 8, 8)))
    wrongs: list[dict[str, Any]] = [{"device": "quantum"}, {"init_from": other}, {"decoder_from": other}]
    for wrong in wrongs:
        with pytest.raises(UserError):
            train(config(), tmp_path / "a" / "b" / "run", data=DIGITS, **wrong)
        assert not list(tmp_path.iterdir())
    for lr in (1e6, 1e30):
        with pytest.raises(UserError, match=r"diverged in epoch 1 .* no epoch was completed, so .* is removed"):
            train(config("vae", lr=lr, epochs=3), tmp_path / "a" / "run", data=DIGITS)
        assert not list(tmp_path.iterdir())
    (tmp_path / "kept").mkdir()
    with pytest.raises(UserError):
        train(config(), tmp_path / "kept" / "run", data=DIGITS, device="quantum")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


class Killed(BaseException):
    """What ends a process at once."""


def test_a_training_killed_before_its_first_step_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill after each operation on files that creates the run; the same command then trains it from the start."""
    whole = train(config(epochs=1), tmp_path / "whole", data=DIGITS)
    kills = 0
    for last in range(100):
        run, count = tmp_path / str(last), itertools.count()

        def counted(function: Any, count: Any = count, last: int = last) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                result = function(*arguments, **named)
                if next(count) == last:
                    raise Killed
                return result

            return call

        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "mkdir"):
                patch.setattr(os, name, counted(getattr(os, name)))
            patch.setattr(run_files, "save_file", counted(run_files.save_file))
            patch.setattr(Path, "open", counted(Path.open))
            patch.setattr(Training, "run", lambda *_: None)
            try:
                train(config(epochs=1), run, data=DIGITS)
            except Killed:
                kills += 1
        if (run / "config.json").is_file():
            assert_same(whole, resume(run))
            break
        assert_same(whole, train(config(epochs=1), run, data=DIGITS))
    assert kills > 10


def test_what_is_not_the_start_of_a_run_is_not_taken_over(tmp_path: Path) -> None:
    run = train(config(epochs=1), tmp_path / "run", data=DIGITS)
    (run / "config.json").unlink()
    for change in (lambda: None, (run / "metrics.jsonl").unlink, lambda: shutil.rmtree(run / "best")):
        change()  # `last` is of epoch 1 still
        with pytest.raises(UserError, match="exists already"):
            train(config(epochs=1), run, data=DIGITS)
    for name in ("notes.txt", "meta.json/notes.txt", "last/notes.txt", ".hidden"):
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("mine")
        with pytest.raises(UserError, match="exists already"):
            train(config(epochs=1), folder, data=DIGITS)
        assert (folder / name).read_text() == "mine"
