"""200 generated command lines, each with one mistake: exit code 2, one line, and nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpvae_core.terminal import CONTROL
from tests.cli.test_cli import one_line_error
from tests.commands import gpvae

pytestmark = pytest.mark.slow
NAMES = [
    "",
    " ",
    "gpp",
    "-",
    "vae+",
    "+vae",
    "vae:",
    "svi:x",
    "vae:-1",
    "../x",
    "\x1b[31mred",
    "ü\u202e",
    "x" * 300,
    "a\nb",
]
COUNTS = ["", "x", "1.5", "-1", "nan", "inf", "0x10", "1e3"]
SEEDS = [*COUNTS, "9" * 30]
PLACES = ["nothing", "file.txt", "file.txt/x", "\x1b]0;x\x07", "x" * 300, "loop"]
UNWRITABLE = ["missing/x", "vae", "file.txt/x", "/proc/x", "x" * 300]
BAD: dict[tuple[str, ...], dict[str, list[str]]] = {
    ("train", "--epochs", "1"): {
        "--method": NAMES,
        "--dataset": [*NAMES, "images:nothing", "images:file.txt", "array:file.txt", "mnits", "digits:x"],
        "--latent-dim": [*COUNTS, "0"],
        "--seed": SEEDS,
        "--preset": NAMES,
        "--init-from": PLACES,
        "--decoder-from": PLACES,
        "--resume": PLACES,
        "--device": ["quantum", "cuda:99", "", "CPU", "\x1b[31m"],
        "--set": ["", "lr", "=3", "train.epoch=3", "lr=-1", "lr=abc", "nothing=1", "net.hidden=0", "\x1b[31m=1"],
        "--out": ["vae", "file.txt", "file.txt/x", "/proc/x/y", "loop", "x" * 300],
    },
    ("evaluate", "vae"): {
        "--split": [*NAMES, "train"],
        "--k": [*COUNTS, "0"],
        "--instances": [*COUNTS, "1"],
        "--truths": [*COUNTS, "1"],
        "--seed": SEEDS,
        "--bandwidth": NAMES,
        "--refiner": [*NAMES, "svi:0"],
        "--truth": NAMES,
        "--ais-steps": [*COUNTS, "1", "20"],  # 20 has no effect at d = 2
        "--simulated": [*COUNTS, "1"],
        "--hmc-draws": [*COUNTS, "3", "100"],
        "--mixture-samples": [*COUNTS, "100"],
        "--out": UNWRITABLE,
        "--device": ["quantum", "", "cuda:99"],
    },
    ("evaluate",): {"": PLACES},
    ("runs",): {"": PLACES},
    ("list",): {"": [*NAMES, "method"], "methods --out": UNWRITABLE},
    ("bench",): {"": [*NAMES, "speed"], "growth --figure": UNWRITABLE, "growth --repeats": [*COUNTS, "0"]},
    ("data", "verify"): {"": [*NAMES, "mnits", "images:nothing", "array:file.txt"]},
    ("data", "fetch"): {"": [*NAMES, "mnits"]},
    ("data", "surrogates"): {"": [*NAMES, "digits"], "circle --seed": COUNTS, "circle --out": ["file.txt", "/proc/x"]},
    ("mapa", "trend"): {
        "": [*NAMES, "digits"],
        "circle --n": [*COUNTS, "0", "10,,20"],
        "circle --points": NAMES,
        "circle --bandwidth": ["", "a", "-1", "0", "sigma_x,"],
        "circle --draws": [*COUNTS, "0"],
    },
    ("mapa", "table"): {"--out": PLACES, "--csv": UNWRITABLE},
    ("sweep",): {"": PLACES, "sweep.toml --workers": [*COUNTS, "0"], "sweep.toml --scheduler": ["", "x", "http://a:1"]},
    ("table",): {
        "": [*COUNTS, "7", "0"],
        "1 --dims": ["", "x", "10;20", "0"],
        "1 --methods": NAMES,
        "1 --csv": UNWRITABLE,
    },
    ("explore", "--no-open"): {"": PLACES, "vae --port": [*COUNTS, "0", "70000"]},
}
WRONG_WORDS = ["--metod", "--nothing=1", "-q", "--no-json"]


def bad_lines() -> Iterator[tuple[str, ...]]:
    """Every line that has one bad value, and every command with an option that it does not have."""
    for command, options in BAD.items():
        for option, values in options.items():
            for value in values:
                # A value that begins with a dash would be an option by itself.
                joined = [f"{option.split()[-1]}={value}"] if "--" in option else ["--", value]
                yield (*command, *option.split()[:-1], *joined)
        for word in WRONG_WORDS:
            yield (*command, word)
    yield from (
        ("trian",),
        ("data", "fetsch"),
        ("mapa", "tabel"),
        ("data", "verify"),
        ("evaluate",),
        ("sweep",),
        ("table",),
    )


LINES = random.Random(0).sample(sorted(set(bad_lines())), 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bad")
    done = gpvae("train", "--epochs", "1", "--set", "net.hidden=8", "--out", "vae", cwd=path)
    assert done.returncode == 0, done.stderr
    (path / "file.txt").write_text("neither a run nor a sweep")
    (path / "sweep.toml").write_text('datasets = ["digits"]\nmethods = ["vae"]\nepochs = 1\n')
    (path / "loop").symlink_to(path / "loop")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Every file and folder below, with what is in it."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("line", LINES, ids=lambda line: ascii(" ".join(line))[:60])
def test_a_bad_line_is_one_line_and_leaves_nothing(folder: Path, line: tuple[str, ...]) -> None:
    before = content(folder)
    done = gpvae(*line, cwd=folder)
    one_line_error(done, "gpvae: ")
    assert not CONTROL.search(done.stderr)
    assert content(folder) == before
