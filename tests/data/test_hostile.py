"""Training on hostile files ends in exit code 2 with one line, within bounded memory and time, and leaves nothing."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.data.hostile import CASES, GB

ROOT = Path(__file__).parents[2]
SECONDS = 10
"""Most seconds of computing."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs a limit on a process's memory"),
]


def child(name: str, folder: Path) -> None:
    """Train on a data set with at most 1 GiB more than after the imports, and print the line, or what came instead."""
    import gpvae_core.data.base as base
    from gpvae_core.cli.main import main

    base.DATASETS.summaries()
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + GB, now + GB))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    code, out, err = None, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["train", "--dataset", name, "--epochs", "1", "--out", str(folder / "run")])
        except SystemExit as stop:
            code = stop.code
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
    assert code == 2, (code, out.getvalue(), err.getvalue())
    assert out.getvalue() == ""
    assert err.getvalue().count("\n") == 1, err.getvalue()
    assert seconds < SECONDS
    assert (after.ru_maxrss - spent.ru_maxrss) << 10 < GB
    print(err.getvalue())


def test_there_are_sixty() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_hostile_files(case: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    name = CASES[case](home)
    before = sorted(path.name for path in home.rglob("*"))
    call = f"from pathlib import Path; from tests.data.test_hostile import child; child({name!r}, Path({str(home)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GPVAE_DATA_DIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", call], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("gpvae: ")
    assert sorted(path.name for path in home.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
