"""Training on hostile files ends in exit code 2 with one line, within bounded memory and time, and leaves nothing."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.data.hostile import CASES, GB

ROOT = Path(__file__).parents[2]
SECONDS, PATIENCE = 10, 60
"""Most seconds of computing, and seconds after which a case counts as hanging."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs a limit on a process's memory"),
]


def train_on(name: str, folder: Path) -> dict[str, Any]:
    """What the command line says, in a process that may take 1 GiB more than it has."""
    from gpvae_core.cli.main import main

    signal.alarm(PATIENCE)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + GB, now + GB))
    before = resource.getrusage(resource.RUSAGE_SELF)
    code, out, err = None, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["train", "--dataset", name, "--epochs", "1", "--out", str(folder / "run")])
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            code = repr(error)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "bytes": (after.ru_maxrss - before.ru_maxrss) << 10,
    }


def run_all(root: Path) -> None:
    """Train on every case, each in a process of its own that is forked after the imports."""
    import gpvae_core.training_plan  # noqa: F401
    from gpvae_core.data.base import DATASETS

    DATASETS.summaries()
    for number, case in enumerate(CASES.values()):
        home = root / str(number)
        home.mkdir()
        name = case(home)
        os.environ["GPVAE_DATA_DIR"] = str(home)
        before = sorted(str(path) for path in root.rglob("*"))
        process = os.fork()
        if not process:
            (root / f"{number}.json").write_text(json.dumps(train_on(name, home)))
            os._exit(0)
        os.waitpid(process, 0)
        left = sorted({str(path) for path in root.rglob("*")} - {*before, str(root / f"{number}.json")})
        (root / f"{number}.left").write_text("\n".join(left))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    call = f"from pathlib import Path; from tests.data.test_hostile import run_all; run_all(Path({str(root)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", call], check=True, cwd=root, env=environment)
    return root


def test_there_are_sixty() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_hostile_files(case: str, outcomes: Path) -> None:
    number = list(CASES).index(case)
    assert (outcomes / f"{number}.json").is_file(), "it hung, or was killed"
    found = json.loads((outcomes / f"{number}.json").read_text())
    assert (found["code"], found["out"]) == (2, ""), found
    assert found["err"].startswith("gpvae: ")
    assert found["err"].count("\n") == 1
    assert found["seconds"] < SECONDS
    assert found["bytes"] < GB
    assert (outcomes / f"{number}.left").read_text() == "", "something was left behind"
