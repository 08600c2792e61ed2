"""What a command says before torch is imported, which takes seconds on a slow machine."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpvae_core.cli import stored_lists
from gpvae_core.cli.main import main
from gpvae_core.cli.stored_lists import stored

ROOT = Path(__file__).parents[2]
NO_TORCH = "import sys; sys.modules.update(torch=None); from gpvae_core.cli.main import main; main(sys.argv[1:])"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "gpvae" / "lists"


def listed(capsys: pytest.CaptureFixture[str], what: str) -> str:
    with pytest.raises(SystemExit):
        main(["list", what])
    return capsys.readouterr().out


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", NO_TORCH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "80"})


def test_a_list_is_shown_again_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    """The first time it is computed; then it comes from the cache."""
    assert without_torch("list", "methods").returncode != 0
    first = listed(capsys, "methods")
    again = without_torch("list", "methods")
    assert (again.returncode, again.stderr) == (0, "")
    assert "mapa" in again.stdout
    assert again.stdout.split() == first.split()
    assert without_torch("--help").returncode == 0


def test_a_list_is_computed_again_when_a_source_changes_or_the_file_is_damaged(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stored_lists, "SOURCES", tmp_path / "sources")
    source = tmp_path / "sources" / "one.py"
    source.parent.mkdir()
    source.write_text("a = 1\n")
    answers = iter([[{"name": "one"}], [{"name": "two"}], *[[{"name": "three"}]] * 3])
    assert stored("methods", lambda: next(answers)) == stored("methods", list) == [{"name": "one"}]
    source.write_text("a = 22\n")
    assert stored("methods", lambda: next(answers)) == stored("methods", list) == [{"name": "two"}]
    for damage in ("{", "[]", json.dumps({"state": stored_lists.state_of_sources()})):
        (cache / "methods.json").write_text(damage)
        assert stored("methods", lambda: next(answers)) == stored("methods", list) == [{"name": "three"}]


def test_without_a_place_for_it_nothing_is_stored(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert stored("methods", lambda: [{"name": "one"}]) == [{"name": "one"}]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_evaluate_says_what_it_does_before_torch_is_imported(tmp_path: Path) -> None:
    """On a terminal; where the output is read by another program, only the line on what is wrong comes."""
    script = (
        "import sys\nclass Wait:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': sys.stdout.write('torch now'); sys.stdout.flush()\n"
        "sys.meta_path.insert(0, Wait())\nfrom gpvae_core.cli.main import main\nmain(sys.argv[1:])"
    )
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", script, "evaluate", str(tmp_path / "missing")]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT, env={**os.environ, "COLUMNS": "200"})
    os.close(theirs)
    said, deadline = b"", time.monotonic() + 120
    while b"torch now" not in said and time.monotonic() < deadline:
        said += os.read(ours, 1000)
    process.wait()
    os.close(ours)
    assert b"loading" in said.partition(b"torch now")[0]
    quiet = subprocess.run(
        [sys.executable, "-m", "gpvae_core.cli", "evaluate", str(tmp_path / "missing")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert quiet.returncode == 2
    assert len(quiet.stderr.splitlines()) == 1
    assert quiet.stdout == ""
