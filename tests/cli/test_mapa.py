"""`gpvae mapa` as a user types it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gpvae_core.cli.mapa import SHORT
from gpvae_core.cli.table import print_table
from gpvae_core.sweep.config import parse_sweep
from gpvae_core.sweep.plan import plan
from gpvae_core.sweep.store import open_store
from tests.cli.test_cli import gpvae, one_line_error
from tests.tidy import tidy


def test_the_trend_as_a_table_and_as_json(tmp_path: Path) -> None:
    small = ["figure-8", "--n", "40,80", "--bandwidth", "sigma_x,0.3"]
    done = gpvae("mapa", "trend", *small, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(row["n"], row["bandwidth"]) for row in rows] == [
        (40, "sigma_x"),
        (40, "0.3"),
        (80, "sigma_x"),
        (80, "0.3"),
    ]
    assert rows[0]["kl"]["n"] == 40
    assert rows[0]["captured"] == pytest.approx(1 - rows[0]["kl"]["mean"] / rows[0]["uniform_kl"]["mean"])
    shown = gpvae("mapa", "trend", *small, "--points", "test", cwd=tmp_path)
    assert "means over test points of 1 draw" in shown.stdout
    assert {"spread", "linear"}.isdisjoint(shown.stdout.split())
    every = gpvae("mapa", "trend", *small, "--all", cwd=tmp_path)
    assert all(name in every.stdout for name in ("KL(q||p)", "rank, all", "exp H(p), exp H(q)", "evidence"))


def test_the_short_trend_fits_a_terminal_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Set and bandwidth at their longest."""
    figures = {"KL(p||q)": "0.123 ± 0.001", "uniform": "4.56", "captured": "99%", "rank": "0.95 ± 0.01"}
    print_table([{"set": "absolute-value", "N": 1000, "bandwidth": "validation (0.0123)", **figures}])
    shown = capsys.readouterr().out
    assert tuple({"set": 0, "N": 0, "bandwidth": 0, **figures}) == SHORT
    assert max(map(len, shown.splitlines())) <= 100
    assert "validation (0.0123)" in shown


LONG = {"name": "a" * 90, "figure": "0.123 ± 0.001", "what it is": "word " * 30}


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table([LONG])
    shown = capsys.readouterr().out
    assert all(value.strip() in shown for value in LONG.values())


def test_a_table_on_a_narrow_terminal_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table([LONG])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.count("a") - "name what it is".count("a") == 90
    assert "…" not in shown


def test_the_comparison_as_a_table_and_as_files(tmp_path: Path) -> None:
    sweep = parse_sweep({"datasets": ["circle"], "methods": ["vae", "mapa:10"], "latent_dims": [1], "splits": [0, 1]})
    jobs = plan(sweep)
    with open_store(tmp_path) as store:
        store.register(sweep, jobs)
        for job in jobs:
            kl = 0.1 * (job.config.method == "vae") + 0.01 * job.split
            store.finish(job.key, {"test_kl": kl, "validation_elbo": 0.0, "epochs": 1, "train_seconds": 1.0})
    files = ["--markdown", tmp_path / "table.md", "--csv", tmp_path / "table.csv"]
    done = gpvae("mapa", "table", "--out", tmp_path, *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MAPA below VAE" in done.stdout
    assert "yes (-0.100)" in (tmp_path / "table.md").read_text(encoding="utf-8")
    rows = tidy((tmp_path / "table.csv").read_text(encoding="utf-8"))
    assert sorted(row["test_kl_nats"] for row in rows) == pytest.approx([0.0, 0.01, 0.1, 0.11])
    actual = json.loads(gpvae("mapa", "table", "--out", tmp_path, "--json", cwd=tmp_path).stdout)
    assert {entry["method"] for entry in actual["entries"]} == {"vae", "mapa:10"}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trend", "figure8"], ["unknown dataset 'figure8'", "did you mean 'figure-8'"]),
        (["trend", "digits"], ["is not known"]),
        (["trend", "--n", "ten"], ["--n as whole numbers"]),
        (["trend", "--n", "5000", "circle"], ["2 to 1000 training points"]),
        (["trend", "--bandwidth", "sigma_x,,0.1"], ["--bandwidth as a list"]),
        (["trend", "circle", "--bandwidth", "-1"], ["above 0"]),
        (["trend", "circle", "--points", "trainig"], ["did you mean 'training'"]),
        (["table", "--out", "nowhere"], ["there are no results"]),
        (["table", "--markdwon", "x"], ["No such option"]),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    done = gpvae("mapa", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    one_line_error(done, *parts)


def test_without_a_command_it_says_what_there_is(tmp_path: Path) -> None:
    done = gpvae("mapa", cwd=tmp_path)
    assert done.returncode == 2
    assert "trend" in done.stdout
    assert "table" in done.stdout
