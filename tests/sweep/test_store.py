"""The SQLite file: everything once, also across restarts; readers beside the writer; versions."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.errors import UserError
from gpvae_core.sweep.cluster import ClusterSettings
from gpvae_core.sweep.config import SweepConfig, parse_sweep
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.results import FILE, MEASURED, Cost, best_restarts, open_results
from gpvae_core.sweep.run import check_cluster
from gpvae_core.sweep.schema import VERSION
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.sheet import SheetChoice, make_sheet, read


def measured(validation: float, test: float, **more: Any) -> dict[str, Any]:
    """What a job returns."""
    known = {"validation_elbo": validation, "test_iwae": test, "epochs": 60, "train_seconds": 30.0}
    return dict.fromkeys(MEASURED) | known | {"score_seconds": 2.0} | more


def by_key(out: Path) -> dict[str, Any]:
    return {row.key: row for row in open_results(out).rows()}


def test_a_job_is_done_once_whatever_comes_after(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    first = jobs[0].key
    for _ in range(2):
        with open_store(tmp_path) as store:
            statuses = store.register(small, jobs)
            store.start(first)
            store.finish(first, measured(-1.0, -2.0))
            store.finish(first, measured(-9.0, -9.0))
            store.fail(first, "too late")
    assert statuses == {job.key: "done" if job.key == first else "planned" for job in jobs}
    rows = open_results(tmp_path).rows()
    assert len(rows) == len(jobs)
    done = by_key(tmp_path)[first]
    assert (done.status, done.validation_elbo, done.test_iwae, done.message) == ("done", -1.0, -2.0, None)
    assert (done.dataset, done.method, done.latent_dim, done.decoder) == ("digits", "vae", 2, "fc")


def test_what_ran_or_failed_is_planned_again(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.start(jobs[0].key)
        store.start(jobs[1].key)
        store.fail(jobs[1].key, "diverged\nin epoch 3")
        store.start(jobs[2].key)
        store.put_back(jobs[2].key)
    actual = by_key(tmp_path)
    assert [actual[job.key].status for job in jobs] == ["running", "failed", "planned", "planned"]
    assert actual[jobs[1].key].message == "diverged in epoch 3"
    with open_store(tmp_path) as store:
        assert set(store.register(small, jobs).values()) == {"planned"}


def test_a_plan_that_shrinks_forgets_what_was_not_done(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.finish(jobs[3].key, measured(-1.0, -2.0))
        store.register(small, jobs[:1])
    assert {row.key: row.status for row in open_results(tmp_path).rows()} == {
        jobs[0].key: "planned",
        jobs[3].key: "done",
    }


def test_two_setups_share_a_training_and_are_read_apart(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    more = {"method_settings": {"gp": {"encoder.start_scale": 0.1}}, "methods": ["vae", "gp"], "name": "other"}
    other = parse_sweep({**small.model_dump(), **more})
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.finish(jobs[0].key, measured(-1.0, -2.0))
        assert store.register(other, plan(other))[jobs[0].key] == "done"
    results = open_results(tmp_path)
    assert {setup.name for setup in results.setups()} == {"small", "other"}
    assert len(results.rows(small.setup_key())) == 4
    assert len(results.rows(other.setup_key())) == 8
    assert results.setups()[0].content["evaluate"]["k"] == 5


def test_the_best_restart_is_chosen_by_validation_never_by_test(
    tmp_path: Path, small: SweepConfig, jobs: list[Job]
) -> None:
    split = {s: [job.key for job in jobs if job.split == s] for s in (0, 1)}
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.finish(split[0][0], measured(validation=-5.0, test=-1.0))
        store.finish(split[0][1], measured(validation=-4.0, test=-3.0))
        store.finish(split[1][0], measured(validation=-4.0, test=-2.0))
        waiting = best_restarts(open_results(tmp_path).rows())
        store.fail(split[1][1], "diverged")
    assert [row.test_iwae for row in waiting] == [-3.0], "a run counts when all its restarts ended"
    assert [row.test_iwae for row in best_restarts(open_results(tmp_path).rows())] == [-3.0, -2.0]


def test_costs_are_those_of_done_jobs_else_as_measured(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    key = jobs[0].cost_key
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.put_cost(key, Cost(9.0, 9.0))
        store.put_cost("another", Cost(1.0, 2.0))
        assert store.results.costs() == {key: Cost(9.0, 9.0), "another": Cost(1.0, 2.0)}
        store.finish(jobs[0].key, measured(-1.0, -2.0, train_seconds=30.0))
        store.finish(jobs[1].key, measured(-1.0, -2.0, train_seconds=60.0, score_seconds=4.0))
    assert open_results(tmp_path).costs() == {key: Cost(0.75, 3.0), "another": Cost(1.0, 2.0)}
    assert Cost(0.3, 3.0).job(10) == pytest.approx(6.0)


def test_readers_do_not_wait_for_the_writer(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store, closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        store.register(small, jobs)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM members")
        assert len(open_results(tmp_path).rows()) == 4, "what is not committed is not seen, and does not block"
        other.execute("ROLLBACK")
        assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_reader_cannot_write(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
    with pytest.raises(UserError, match="readonly"):
        open_results(tmp_path)._read("DELETE FROM members")


def test_an_empty_file_of_results_is_none(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    """What a sweep left that was begun on a full disk; before, no command went on with it."""
    (tmp_path / FILE).touch()
    check_cluster(ClusterSettings(device="cpu"), jobs, tmp_path)
    with pytest.raises(UserError, match="there are no results"):
        open_results(tmp_path)
    with open_store(tmp_path) as store:
        store.register(small, jobs)
    assert len(open_results(tmp_path).rows()) == len(jobs)


def test_a_file_of_results_is_created_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="the disk is full"), open_store(tmp_path):
            pass
    assert not list(tmp_path.iterdir())
    with open_store(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_files_of_newer_versions_and_of_others_are_refused(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
    for refused in (lambda: open_results(tmp_path), lambda: open_store(tmp_path).__enter__()):
        with pytest.raises(UserError, match=rf"newer version \(schema {VERSION + 1}, this one reads {VERSION}\)"):
            refused()
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(UserError, match="database of another program"):
        open_results(foreign)
    (tmp_path / "text.sqlite").write_text("no database at all, only text" * 100)
    with pytest.raises(UserError, match="is not a results file"):
        open_results(tmp_path / "text.sqlite")
    with pytest.raises(UserError, match="there are no results"):
        open_results(tmp_path / "nothing")


@contextmanager
def without_rights() -> Iterator[None]:
    """Run the block as a user who may not write what others own; root may write everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only(small: SweepConfig, jobs: list[Job]) -> Iterator[Path]:
    """Results in a folder that can be read but not written, as on a shared disk or a DVD."""
    folder = Path(tempfile.mkdtemp())
    with open_store(folder) as store:
        store.register(small, jobs)
        store.finish(jobs[0].key, measured(-1.0, -2.0))
    for path, rights in ((folder / FILE, 0o444), (folder, 0o555)):
        path.chmod(rights)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="rights of files")
def test_results_that_cannot_be_written_are_read(read_only: Path, jobs: list[Job]) -> None:
    with without_rights():
        rows = by_key(read_only)
        assert sorted(path.name for path in read_only.iterdir()) == [FILE]
    assert rows[jobs[0].key].test_iwae == -2.0
    assert len(rows) == len(jobs)


@pytest.mark.skipif(os.name == "nt", reason="rights of files")
def test_results_whose_log_cannot_be_read_are_not_shown_without_it(read_only: Path) -> None:
    """A sweep that runs keeps its last results in the log: without it they would be missing silently."""
    read_only.chmod(0o755)
    (read_only / f"{FILE}-wal").write_bytes(b"log")
    read_only.chmod(0o555)
    with without_rights(), pytest.raises(UserError, match="wanted a copy of the whole folder"):
        open_results(read_only)


BAD_RESULTS = (
    "[" * 100_000,
    '{"epochs": ' + "9" * 5000 + "}",
    "[1]",
    "null",
    "{",
    "{}",
    *(json.dumps(measured(-1.0, -2.0) | {"test_iwae": value}) for value in ("x", math.inf, math.nan, 10**300)),
    *(json.dumps(measured(-1.0, -2.0) | change) for change in ({"epochs": -1}, {"versions": 3}, {"note": "\ud800"})),
)


@pytest.mark.parametrize("text", BAD_RESULTS, ids=lambda text: text[:30])
def test_a_damaged_result_does_not_hide_the_others(
    text: str, tmp_path: Path, small: SweepConfig, jobs: list[Job]
) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        for job in jobs[:2]:
            store.finish(job.key, measured(-1.0, -2.0))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE jobs SET result = ? WHERE key = ?", (text, jobs[0].key))
    rows = by_key(tmp_path)
    assert rows[jobs[0].key].status == "failed"
    message = rows[jobs[0].key].message
    assert message is not None
    assert message.startswith("its stored result is damaged: ")
    assert "\n" not in message
    assert (rows[jobs[1].key].status, rows[jobs[1].key].test_iwae) == ("done", -2.0)
    stored = read(tmp_path / FILE)
    sheet = make_sheet(stored, SheetChoice(tmp_path / FILE))
    assert sheet.count("done") == 1
    assert sheet.count("failed") == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", '{"set": 3}', "x"], ids=lambda text: text[:30])
def test_damaged_settings_of_a_sweep_are_one_line(
    text: str, tmp_path: Path, small: SweepConfig, jobs: list[Job]
) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE setups SET content = ?", (text,))
    with pytest.raises(UserError, match="is damaged: wanted the settings of a sweep") as caught:
        open_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_measurement_that_is_undefined_is_no_damage(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        store.finish(jobs[0].key, measured(-1.0, -2.0, truth_error=math.nan, test_kl=math.inf))
        assert store.register(small, jobs)[jobs[0].key] == "done"
    row = by_key(tmp_path)[jobs[0].key]
    assert (row.status, row.test_iwae, row.truth_error, row.test_kl) == ("done", -2.0, None, None)


def test_a_damaged_result_is_computed_again(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with open_store(tmp_path) as store:
        store.register(small, jobs)
        for job in jobs[:3]:
            store.finish(job.key, measured(-1.0, -2.0))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE jobs SET result = '{' WHERE key = ?", (jobs[0].key,))
        connection.execute("UPDATE jobs SET config = '{' WHERE key = ?", (jobs[1].key,))
    assert by_key(tmp_path)[jobs[1].key].status == "failed"
    assert open_results(tmp_path).costs() != {}
    with open_store(tmp_path) as store:
        statuses = store.register(small, jobs)
        store.finish(jobs[1].key, measured(-1.0, -2.0))
    assert [statuses[job.key] for job in jobs[:3]] == ["planned", "planned", "done"]
    assert by_key(tmp_path)[jobs[1].key].status == "done"
