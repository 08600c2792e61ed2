"""Table 1 of Jazbec et al. 2021 beside the results of a sweep."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

import gpvae_core.sweep.plan as planning
from gpvae_core.sweep.config import read_sweep
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.result import MEASURED
from gpvae_core.sweep.scores import SQUARE_ERROR
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.predictions import prediction_table
from tests.commands import gpvae
from tests.inference.gp_prior.series_data import DATA

ROOT = Path(__file__).parents[2]
ERRORS = {0: 0.0240, 1: 0.0250, 2: 0.0260}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs of the sweep file, planned with columns of other data, as MNIST need not be there."""
    monkeypatch.setattr(planning, "_event_shape", lambda _: (1, 28, 28))
    monkeypatch.setattr(planning, "data_of", lambda _: DATA)
    return planning.plan(read_sweep(ROOT / "docs" / "rotated-mnist.toml"))


@pytest.fixture
def out(jobs: list[Job], tmp_path: Path) -> Path:
    """Results in which the SVGP-VAE has three runs and the CVAE one."""
    with open_store(tmp_path) as store:
        store.register(read_sweep(ROOT / "docs" / "rotated-mnist.toml"), jobs)
        for job in jobs:
            if job.config.method == "svgp:32" and job.split in ERRORS:
                store.finish(job.key, measured(ERRORS[job.split], published=ERRORS[job.split] - 0.001))
            if job.config.method == "cvae" and job.split == 0:
                store.finish(job.key, measured(0.07))
    return tmp_path


def measured(mse: float, published: float | None = None) -> dict[str, Any]:
    known = {"validation_elbo": 1.0, SQUARE_ERROR.field: mse, "test_mse_sample": mse + 0.002, "epochs": 1000}
    return dict.fromkeys(MEASURED) | known | {"train_seconds": 900.0, "test_mse_published": published}


def test_the_sweep_is_the_papers(jobs: list[Job]) -> None:
    assert {job.config.method for job in jobs} == {"cvae", "gppvae", "svgp:32", "deep-svigp:32"}
    assert len(jobs) == 4 * 5
    for job in jobs:
        assert (job.config.latent_dim, job.config.train.batch_size) == (16, 256)
        # That of methods with inducing points was chosen on digit 5, as the sweep file explains.
        chosen = job.config.method in ("svgp:32", "deep-svigp:32")
        rate = (1e-2, "cosine", 5.0) if chosen else (1e-3, "constant", 0.0)
        assert (job.config.train.lr, job.config.train.lr_schedule, job.config.train.clip) == rate
        assert (job.config.train.epochs, job.config.net.kind, job.config.data.validation_fraction) == (
            1000,
            "casale",
            0.02,
        )
    settings = {job.config.method: job.config.to_json()["inference"] for job in jobs}
    assert [key for key, value in settings.items() if dict(value).get("balance") == "geco"] == ["svgp:32"]  # pyright: ignore


def test_means_and_deviations_are_over_runs(out: Path) -> None:
    rows = {row.method: row for row in prediction_table("jazbec-1", out).rows}
    svgp, cvae, missing = rows["svgp:32"], rows["cvae"], rows["gppvae"]
    assert (svgp.mse, svgp.runs, svgp.wanted) == (pytest.approx(0.025), 3, 5)
    assert svgp.mse_sd == pytest.approx(statistics.stdev(ERRORS.values()))
    assert (svgp.mse_sample, svgp.mse_published) == (pytest.approx(0.027), pytest.approx(0.024))
    assert (svgp.seconds, svgp.epochs, svgp.paper_mse) == (pytest.approx(0.9), 1000, 0.0251)
    assert (cvae.mse, cvae.mse_sd, cvae.mse_published) == (0.07, None, None)
    assert (missing.mse, missing.runs, missing.epochs) == (None, 0, None)


def test_the_command_prints_it_beside_the_papers_values(out: Path) -> None:
    code, text, error = gpvae("table", "jazbec-1", "--out", str(out), "--csv", "t.csv", cwd=out)
    assert code == 0, error
    line = next(line for line in text.splitlines() if "SVGP-VAE" in line)
    for shown in (
        "0.0251±0.0005",
        "0.0240±0.0010",
        "0.0270±0.0010",
        "0.0250±0.0010",
        "3/5",
        "1000",
        "1.90",
        "0.90±0.00",
    ):
        assert shown in line
    assert "missing runs: gpvae sweep docs/rotated-mnist.toml" in text
    rows = {row["method"]: row for row in csv.DictReader((out / "t.csv").open())}
    assert float(rows["svgp:32"]["mse"]) == pytest.approx(0.025)
    assert rows["gppvae"]["mse"] == ""
    code, text, _ = gpvae("table", "jazbec-1", "--out", str(out), "--json", cwd=out)
    assert [row["runs"] for row in json.loads(text)["rows"]] == [1, 0, 3, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jazbec-1",), "there are no results 'sweeps/rotated-mnist'"),
        (("jazbec-2",), "did you mean 'jazbec-1'"),
        (("jazbec-1", "--epochs", "3"), "trains nothing: leave out --epochs"),
        (("12",), "wanted a table of results of Kim & Pavlovic 2021"),
    ],
)
def test_what_cannot_be_shown_gets_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, error = gpvae("table", *arguments, cwd=tmp_path)
    assert code == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1
