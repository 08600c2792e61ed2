"""Every reader of a file that others may have put there refuses what hangs or never ends, in one line."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.cli.main import main
from gpvae_core.data.synthetic.examples import CURVES
from gpvae_core.data.synthetic.surrogate import load_surrogate, weights_file
from gpvae_core.errors import UserError
from gpvae_core.gaps import GapTable
from gpvae_core.inspection.disk import DiskCache
from gpvae_core.mapa import cache
from gpvae_core.sweep.charge import TOKEN, token_in
from gpvae_core.sweep.config import read_sweep
from gpvae_core.sweep.results import FILE, open_results
from gpvae_core.sweep.schema import connect_to_write
from gpvae_core.tables.times import bench_rows, bench_times
from tests.data.makers import read

REFUSING: dict[str, Callable[[Path], object]] = {
    "array": lambda path: read(f"array:{path}"),
    "images": lambda path: read(f"images:{path}"),
    "a picture": lambda path: read(f"images:{path.parent}"),
    "surrogate": lambda path: load_surrogate("a", CURVES["circle"], path.parent),
    "sweep": read_sweep,
    "bench": bench_rows,
    "times": bench_times,
    "gaps": GapTable.load,
    "results": open_results,
    "results to write": connect_to_write,
}
HARMLESS: dict[str, Callable[[Path], object]] = {
    "explorer's cache": lambda path: DiskCache(path.parent, {}).read("stage", {}),
    "neighbours": cache.read,
    "token": lambda path: token_in(path.parent),
}
"""Readers that compute anew what they cannot read."""


def names_of(path: Path) -> Path:
    """The names under which the readers look for files."""
    for name in (TOKEN, DiskCache(path, {}).path("stage", {}).name, weights_file("a", path).name):
        (path / name).symlink_to(path / "a.png")
    return path / "a.png"


@pytest.fixture(params=["pipe", "device"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = names_of(tmp_path)
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("reader", REFUSING)
def test_pipes_and_devices_are_refused(endless: Path, reader: str) -> None:
    with pytest.raises(UserError) as error:
        REFUSING[reader](endless)
    assert "\n" not in str(error.value)
    assert "wanted a regular file" in str(error.value) or "there are no results" in str(error.value)


@pytest.mark.parametrize("reader", HARMLESS)
def test_pipes_and_devices_count_as_missing(endless: Path, reader: str) -> None:
    assert not HARMLESS[reader](endless)


def test_a_sweep_nested_too_deeply(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"a = {'[' * 100_000}")
    with pytest.raises(UserError, match="is not a TOML file"):
        read_sweep(tmp_path / "a.toml")


def test_texts_are_limited(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"#" * (1 << 25))
    for reader in (read_sweep, bench_rows):
        with pytest.raises(UserError, match="it is too large: wanted at most 17 MB"):
            reader(tmp_path / "a")


def database(folder: Path, statement: str, *values: object) -> Path:
    with connect_to_write(folder / FILE) as connection:
        connection.execute(statement, values)
    connection.close()
    return folder


def test_long_texts_in_results(tmp_path: Path) -> None:
    folder = database(tmp_path, "INSERT INTO setups VALUES ('a', 'a', ?, '')", "x" * (1 << 25))
    with pytest.raises(UserError, match="cannot be read: string or blob too big"):
        open_results(folder)


def test_results_that_are_computed_for_ever(tmp_path: Path) -> None:
    folder = database(tmp_path, "DROP TABLE setups")
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute(
            "CREATE VIEW setups AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i AS setup, i AS name, i AS content, i AS updated FROM n"
        )
    connection.close()
    with pytest.raises(UserError, match="wanted tables alone, got views or triggers"):
        open_results(folder)


def test_gaps_that_unpack_to_far_more(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", index=np.zeros(300 << 20, np.uint8))
    with pytest.raises(UserError, match="wanted at most 200 times its size"):
        GapTable.load(tmp_path / "a.npz")


def test_the_command_line_refuses_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", f"array:{tmp_path / 'a.npz'}"])
    streams = capsys.readouterr()
    assert (stop.value.code, streams.out) == (2, "")
    assert streams.err == f"gpvae: '{tmp_path / 'a.npz'}' cannot be read (it is a pipe: wanted a regular file)\n"
