"""What commands print and write: whatever the encoding and the names, and checked before any computing."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.cli.main import main
from gpvae_core.errors import UserError
from gpvae_core.files import check_file
from gpvae_core.progress import terminal_progress
from gpvae_core.terminal import PrintableFormatter, printable
from tests.cli.test_cli import one_line_error
from tests.commands import gpvae

QUICK = ("--instances", "4", "--truths", "4", "--k", "2")
RED = "\x1b[31m[red]vae"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    small = ["--latent-dim", "2", "--epochs", "1", "--set", "net.hidden=8"]
    assert gpvae("train", "--method", "gp", *small, "--out", "gp", cwd=folder).returncode == 0
    (folder / "runs").mkdir()
    shutil.copytree(folder / "gp", folder / "runs" / RED)
    return folder


def in_ascii(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints in ASCII, as with PYTHONIOENCODING=ascii; it must end well."""
    monkeypatch.chdir(cwd)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with redirect_stdout(stream), pytest.raises(SystemExit) as end:
        main([*arguments])
    stream.flush()
    assert end.value.code == 0
    return raw.getvalue().decode("ascii")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("evaluate", "gp", *QUICK), "latent\\xb2"),
        (("runs", "."), "gp"),
        (("data", "list"), "digits"),
        (("list", "methods"), "mapa"),
        (("list", "settings"), "train.lr"),
        (("table", "11"), "vlae"),
        (("mapa", "trend", "circle", "--n", "30", "--bandwidth", "sigma_x", "--all"), "\\xb1"),
    ],
)
def test_a_sign_that_the_encoding_lacks_ends_no_command(
    runs: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], part: str
) -> None:
    """Before, `evaluate` ended in a UnicodeEncodeError after all computing."""
    assert part in in_ascii(*arguments, cwd=runs, monkeypatch=monkeypatch)


def test_a_closed_standard_output_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as end:
        main(["list", "methods", "--out", str(tmp_path / "methods.json")])
    sys.stdout.close()
    assert end.value.code == 0
    assert json.loads((tmp_path / "methods.json").read_text())


def test_no_name_or_argument_brings_control_characters_to_the_terminal(runs: Path) -> None:
    table = gpvae("runs", "runs", cwd=runs)
    shown = gpvae("evaluate", f"runs/{RED}", *QUICK, cwd=runs)
    listed = gpvae("runs", "runs", "--json", cwd=runs)
    for done in (table, shown, listed):
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31m[red]vae" in table.stdout
    assert "\\x1b[31m[red]vae on digits" in shown.stdout
    assert json.loads(listed.stdout)[0]["run"] == f"runs/{RED}"
    one_line_error(gpvae("train", "--method", "\x1b]0;title\x07\x9b", cwd=runs), "'\\x1b]0;title\\x07\\x9b'")


def test_bars_and_the_log_print_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress() as progress:
        progress(1, 1, RED)
    assert "\\x1b[31m[red]vae" in capsys.readouterr().err
    record = logging.LogRecord("x", logging.WARNING, "", 0, "of %s\nand", (RED,), None)
    assert PrintableFormatter("%(message)s").format(record) == "of \\x1b[31m[red]vae\nand"
    assert printable("latent²\tµ\n") == "latent²\tµ\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "gp", *QUICK),
        ("runs", "runs"),
        ("list", "methods"),
        ("data", "list"),
        ("data", "verify", "digits"),
        ("mapa", "trend", "circle", "--n", "30", "--bandwidth", "sigma_x"),
        ("bench", "passes", "--repeats", "1"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_out_writes_the_json_that_is_printed(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gpvae_core.bench.base.run_bench", lambda *_: {"bench": "passes", "machine": {}, "rows": []})
    done = gpvae(*arguments, "--json", "--out", tmp_path / "a.json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "a.json").read_text())
    refused = gpvae(*arguments, "--out", tmp_path / "missing" / "a.json", cwd=runs)
    one_line_error(refused, "wanted a file in an existing folder", "missing/a.json")


WRITERS = [
    (("bench", "growth", "--figure"), "gpvae_core.bench.growth.GrowthBench.run"),
    (("bench", "passes", "--out"), "gpvae_core.bench.base.run_bench"),
    (("evaluate", "gp", "--out"), "gpvae_core.evaluation.evaluate.evaluate"),
    (("mapa", "trend", "--out"), "gpvae_core.mapa.trend_table.trend_table"),
    (("mapa", "table", "--csv"), "gpvae_core.tables.mapa.comparison"),
    (("mapa", "table", "--markdown"), "gpvae_core.tables.mapa.comparison"),
    (("data", "surrogates", "circle", "--out"), "gpvae_core.data.synthetic.fit.fit_surrogate"),
    (("data", "verify", "digits", "--out"), "gpvae_core.data.base.load"),
    (("table", "1", "--dims", "10", "--methods", "vae", "--csv"), "gpvae_core.cli.paper_table.known_or_measured"),
    (("table", "1", "--dims", "10", "--methods", "vae", "--latex"), "gpvae_core.cli.paper_table.known_or_measured"),
    (("table", "1", "--dims", "10", "--methods", "vae", "--out"), "gpvae_core.cli.paper_table.known_or_measured"),
]


@pytest.mark.parametrize(("arguments", "computing"), WRITERS, ids=lambda item: str(item[0] if item else item)[:40])
def test_where_a_file_will_be_written_is_checked_before_computing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], computing: str
) -> None:
    """Before, `bench growth --figure` and `data surrogates --out` looked after minutes of computing."""

    def compute(*_: Any, **__: Any) -> None:
        pytest.fail("it computes first")

    monkeypatch.setattr(computing, compute)
    before = sorted(runs.rglob("*"))
    for place in ("/proc/new/file", "/proc/file"):
        one_line_error(gpvae(*arguments, place, cwd=runs), "/proc")
    assert sorted(runs.rglob("*")) == before


def test_the_check_of_a_place_leaves_nothing_behind(tmp_path: Path) -> None:
    check_file(tmp_path / "new")
    check_file(tmp_path / "a" / "b" / "new", makes_folders=True)
    check_file(Path(os.devnull))
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").write_text("kept")
    check_file(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "kept"
    for wrong in (tmp_path, tmp_path / "none" / "x", tmp_path / ("x" * 300)):
        with pytest.raises(UserError):
            check_file(wrong)
    with pytest.raises(UserError):
        check_file(tmp_path / "old" / "x" / "y", makes_folders=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
