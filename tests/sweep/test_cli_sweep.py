"""`gpvae sweep` and `gpvae table` as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from gpvae_core.cli.sweep import duration, report_failures
from gpvae_core.sweep.config import SweepConfig
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.results import FILE, MEASURED
from gpvae_core.sweep.run import Outcome
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.build import table_sweeps
from gpvae_core.tables.paper import paper_table
from tests.commands import gpvae
from tests.data.makers import write_mnist
from tests.sweep.conftest import TOML
from tests.tidy import tidy


def measured(test: float) -> dict[str, Any]:
    times = {"epochs": 60, "train_seconds": 600.0, "score_seconds": 20.0}
    return dict.fromkeys(MEASURED) | times | {"validation_elbo": test - 1.0, "test_iwae": test}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the file of a sweep of four jobs."""
    (tmp_path / "small.toml").write_text(TOML)
    return tmp_path


def fill(out: Path, sweep: SweepConfig, jobs: list[Job], scores: list[float]) -> None:
    """Results as if so many of the jobs were done."""
    with open_store(out) as store:
        store.register(sweep, jobs)
        for job, score in zip(jobs, scores, strict=False):
            store.finish(job.key, measured(score))


def test_a_sweep_that_is_done_shows_its_cells_and_starts_nothing(
    folder: Path, small: SweepConfig, jobs: list[Job]
) -> None:
    fill(folder / "sweeps" / "small", small, jobs, [10.0, 20.0, 13.0, 5.0])
    code, out, err = gpvae("sweep", "small.toml", "--json", cwd=folder)
    assert code == 0, err
    content = json.loads(out)
    assert (content["total"], content["done"], content["failed"]) == (4, 4, [])
    (cell,) = content["cells"]
    best = {
        job.split: max(s for j, s in zip(jobs, [10.0, 20.0, 13.0, 5.0], strict=True) if j.split == job.split)
        for job in jobs
    }
    assert cell["test_iwae"] == pytest.approx(np.mean(list(best.values())))
    assert cell["sd"] == pytest.approx(np.std(list(best.values()), ddof=1))
    assert (cell["dataset"], cell["method"], cell["d"], cell["runs"]) == ("digits", "vae", 2, 2)


def test_a_dry_run_prints_plan_and_cost_and_writes_nothing(folder: Path) -> None:
    code, out, err = gpvae(
        "sweep", "small.toml", "--dry-run", "--json", "--workers", "2", "--device", "cpu", cwd=folder
    )
    assert code == 0, err
    content = json.loads(out)
    assert (content["jobs"], content["done"], content["to_do"], content["workers"]) == (4, 0, 4, 2)
    (cell,) = content["cells"]
    assert content["seconds"] == pytest.approx(4 * cell["job_seconds"])
    assert cell["job_seconds"] > 0
    assert [path.name for path in folder.iterdir()] == ["small.toml"]


def test_a_dry_run_knows_what_is_done_and_what_it_cost(folder: Path, small: SweepConfig, jobs: list[Job]) -> None:
    fill(folder / "sweeps" / "small", small, jobs, [1.0, 2.0, 3.0])
    code, out, err = gpvae("sweep", "small.toml", "--dry-run", "--workers", "2", cwd=folder)
    assert code == 0, err
    assert "1 of 4 jobs to do: 10 min 20 s one after the other, 5 min 10 s on 2 workers" in out


LINES = [
    (("sweep", "none.toml"), "there is no sweep file 'none.toml'"),
    (("sweep", "small.toml", "--scheduler", "nonsense"), "wanted the address of a Dask scheduler"),
    (("sweep", "small.toml", "--device", "tpu"), "wanted device 'tpu'"),
    (("table", "6"), "wanted a table of results of Kim & Pavlovic 2021"),
    (("table", "1", "--methods", "pg"), "unknown method 'pg'; did you mean 'gp'"),
    (("table", "1", "--dims", "ten"), "wanted whole numbers with commas for --dims"),
    (("table", "1", "--dims", "11"), "wanted --dims of Table 1 (10, 20, 50), got 11"),
    (("table", "1", "--bench", "x.json"), "--bench belongs to the tables of times"),
    (("table", "5", "--bench", "small.toml"), "is not what `gpvae bench inference --json` prints"),
    (("table", "1", "--dims", ""), "wanted --dims with commas, as 10,50, got ''"),
    (("table", "1", "--methods", " ,"), "wanted --methods with commas"),
    (("sweep", "small.toml", "--scheduler", ""), "wanted the address of a Dask scheduler"),
    (("sweep", "small.toml", "--scheduler", "a:1", "--workers", "2"), "--workers are of this machine"),
    (("table", "5", "--epochs", "3", "--device", "x", "--dry-run"), "leave out --epochs, --device, --dry-run"),
    (("table", "1", "--dry-run", "--csv", "t.csv"), "leave out --csv"),
    (("table", "1", "--no-run", "--device", "cpu"), "--no-run trains nothing: leave out --device"),
    (("table", "1", "--csv", "no/such/t.csv"), "wanted a file in an existing folder, got 'no/such/t.csv'"),
    (("table", "1", "--runs", "1000000", "--restarts", "1000000", "--dry-run"), "wanted at most 100000 trainings"),
    (("table", "1", "--set", "epochs=3"), "'epochs' is decided by the sweep's 'epochs'"),
]


@pytest.mark.parametrize(("arguments", "message"), LINES, ids=[" ".join(a) for a, _ in LINES])
def test_bad_input_is_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = gpvae(*arguments, cwd=folder)
    said = [line for line in err.splitlines() if line.startswith("gpvae: ")]
    assert (code, out) == (2, "")
    assert len(said) == 1, err
    assert message in said[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [("--scheduler", "nonsense"), ("--scheduler", "127.0.0.1:9"), ("--device", "tpu")])
def test_a_refused_sweep_writes_nothing_and_says_one_line(
    folder: Path, option: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpvae_core.sweep.cluster.CONNECT_SECONDS", 0.5)
    code, out, err = gpvae("sweep", "small.toml", *option, cwd=folder)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert [path.name for path in folder.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    "command",
    [
        ("sweep", "small.toml"),
        ("sweep", "small.toml", "--dry-run"),
        ("table", "1", "--dims", "10", "--methods", "vae", "--no-run"),
        ("table", "1", "--dims", "10", "--methods", "vae", "--dry-run"),
        ("mapa", "table"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("out", ["loop", "loop/here"])
def test_links_that_lead_to_one_another_are_no_folder(folder: Path, command: tuple[str, ...], out: str) -> None:
    (folder / "loop").symlink_to("loop")
    code, stdout, err = gpvae(*command, "--out", out, cwd=folder)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(f"gpvae: '.*{out}.*' cannot be followed: do its links lead to one another\\?\n", err), err


@pytest.mark.parametrize("wrong", ['methods = ["vea"]', 'methods = ["vae"]\nset = { net.hiden = 3 }'])
def test_what_is_wrong_in_a_file_names_the_file(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "mine.toml").write_text(f'datasets = ["digits"]\n{wrong}\n')
    code, _, err = gpvae("sweep", "mine.toml", cwd=tmp_path)
    assert code == 2
    assert err.startswith("gpvae: 'mine.toml': unknown")


def test_times_stand_beside_what_the_bench_measured(folder: Path) -> None:
    code, out, _ = gpvae("table", "5", "--methods", "vae,gp", cwd=folder)
    assert code == 0
    assert "gpvae bench inference --json" in out
    row = {"case": "VAE, d=50", "metric": "time per batch of 128", "value": 1.25, "unit": "ms", "ratio": None}
    bench = {"machine": {"device": "cpu"}, "rows": [{**row, "ratio_to": None}]}
    (folder / "bench.json").write_text(json.dumps(bench))
    code, out, _ = gpvae("table", "11", "--bench", "bench.json", "--json", cwd=folder)
    content = json.loads(out)
    assert content["cells"][-1]["mnist d=50 fc"] == 9.8
    assert content["bench"][0]["value"] == "1.25 ms"


def test_times_are_written_too(folder: Path) -> None:
    code, _, err = gpvae("table", "11", "--methods", "vlae:1,gp", "--csv", "t.csv", "--latex", "t.tex", cwd=folder)
    assert code == 0, err
    rows = tidy((folder / "t.csv").read_text())
    here = [row for row in rows if (row["dataset"], row["latent_dim"], row["decoder"]) == ("mnist", 50, "fc")]
    assert [(row["method"], row["paper_ms_per_batch"]) for row in here] == [("vlae:1", 12.9), ("gp", 9.8)]
    text = (folder / "t.tex").read_text()
    assert "GPVAE & " in text
    assert " & 9.8" in text
    assert text.count("{") == text.count("}")


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and an MNIST of a few noise images."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    write_mnist(folder, (rng.integers(0, 256, (40, 28, 28)).astype(np.uint8), np.arange(40) % 10))
    monkeypatch.setenv("GPVAE_DATA_DIR", str(folder))
    return tmp_path


TABLE_1 = ("table", "1", "--dims", "10", "--methods", "vae,gp", "--epochs", "60", "--runs", "2", "--restarts", "1")


def test_a_table_stands_beside_the_papers(mnist: Path) -> None:
    (sweep,) = table_sweeps(paper_table(1), [10], ["vae", "gp"], 60, 2, 1)
    jobs = plan(sweep)
    scores = {"vae": [680.0, 682.0], "gp": [690.0, 693.0]}
    by_method = [scores[job.config.method][job.split] for job in jobs]
    fill(mnist / "out", sweep, jobs, by_method)
    command = (*TABLE_1, "--out", "out")
    code, out, err = gpvae(*command, "--csv", "t.csv", "--latex", "t.tex", cwd=mnist)
    assert code == 0, err
    assert "0 of 4 jobs to do" in err
    assert re.search(r"gp\s+│ 696.5±1.5 │ 691.5±2.1 │ 2/2\s+│\s+│ best", out), out
    assert re.search(r"vae\s+│ 685.1±1.8 │ 681.0±1.4 │ 2/2\s+│ 0.038", out), out
    assert "691.5" in (mnist / "t.csv").read_text()
    assert r"\mathbf{691.5}^{2.1}" in (mnist / "t.tex").read_text()
    code, out, _ = gpvae(*command, "--json", "--no-run", cwd=mnist)
    assert [cell["mean"] for cell in json.loads(out)["cells"]] == [681.0, 691.5]


def test_what_is_missing_is_said_with_its_time(mnist: Path) -> None:
    (sweep,) = table_sweeps(paper_table(1), [10], ["vae", "gp"], 60, 2, 1)
    jobs = plan(sweep)
    fill(mnist / "out", sweep, jobs, [680.0, 690.0, 682.0])
    code, out, _ = gpvae(*TABLE_1, "--out", "out", "--no-run", cwd=mnist)
    assert code == 0
    assert "missing: 1 runs, 10 min 20 s one after the other" in out
    code, out, _ = gpvae(*TABLE_1, "--out", "empty", "--no-run", cwd=mnist)
    assert code == 0
    assert "missing: 4 runs, ? one after the other" in out
    assert not (mnist / "empty" / FILE).exists()


def test_what_failed_is_said_and_makes_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stop:
        report_failures(Outcome(total=2, done=1, failed=["run-1: training diverged"]))
    assert stop.value.exit_code == 1
    assert capsys.readouterr().err == "failed: run-1: training diverged\n"
    report_failures(Outcome(total=1, done=1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0.2, "0 s"), (61, "1 min 1 s"), (3600, "1 h"), (7265, "2 h 1 min"), (187_200, "2 d 4 h")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
