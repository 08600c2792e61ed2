"""Scores on data whose true model is known, the choice of a restart by them, and results from before there were any."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.data.base import load
from gpvae_core.evaluation.density import RowCounter, passes_per_point
from gpvae_core.mapa.density import line_density, true_log_px
from gpvae_core.refiners.svi import SVIConfig
from gpvae_core.runs import load_run
from gpvae_core.sweep.charge import coordinating
from gpvae_core.sweep.config import parse_sweep
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.results import FILE, MEASURED, best_restarts, open_results
from gpvae_core.sweep.store import open_store
from gpvae_core.truth.mixture_proposal import MixtureProposalSettings
from tests.short_training import evaluated
from tests.sweep.conftest import answer, one_thread

POINTS: dict[str, Any] = {
    "name": "points",
    "datasets": ["circle"],
    "methods": ["vae", "iwae:5", "mapa:5"],
    "latent_dims": [1],
    "epochs": 2,
    "method_settings": {"mapa:5": {"inference.recovery_epochs": 1, "inference.encoder_epochs": 1}},
    "evaluate": {"k": 5},
}
LATER = ("validation_log_px", "test_log_px", "test_kl", "test_kl_se", "decoder_passes", "encoder_passes")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    return {job.config.method: job for job in plan(parse_sweep(POINTS))}


@pytest.fixture(scope="module")
def done(jobs: dict[str, Job], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    out = tmp_path_factory.mktemp("points")
    with one_thread(), coordinating(out) as token:
        return out, {method: answer(job, out, token) for method, job in jobs.items()}


def test_log_p_and_kl_are_integrals_over_the_line(done: tuple[Path, dict[str, Any]], jobs: dict[str, Job]) -> None:
    """By a trapezium over z, in numpy, and the true density likewise."""
    out, actual = done
    run, data = load_run(out / "runs" / jobs["vae"].folder, device="cpu"), load(jobs["vae"].config.data)
    assert data.truth is not None
    z = torch.linspace(-8, 8, 20_001)[:, None]

    def log_px(decoder: torch.nn.Module, sigma: float, points: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            g = decoder(z).flatten(1).double().numpy()
        square = ((points.flatten(1).double().numpy()[:, None] - g) ** 2).sum(-1)
        log_joint = -0.5 * square / sigma**2 - np.log(2 * np.pi * sigma**2)
        log_joint += -0.5 * z[:, 0].double().numpy() ** 2 - 0.5 * np.log(2 * np.pi)
        top = log_joint.max(1)
        return top + np.log(np.exp(log_joint - top[:, None]).sum(1) * 16 / 20_000)

    sigma = run.model.likelihood.noise_scale()
    assert sigma is not None
    assert sigma == pytest.approx(data.truth.sigma)
    x, v = data.test.pixels()[:200], data.validation.pixels()[:200]
    ours = log_px(run.model.decoder, data.truth.sigma, x)
    theirs = log_px(data.truth.decoder, data.truth.sigma, x)
    assert line_density(run.truth, x).log_px == pytest.approx(ours, abs=1e-3)
    assert true_log_px(data, x) == pytest.approx(theirs, abs=5e-3)
    whole = line_density(run.truth, data.test.pixels())
    true = true_log_px(data, data.test.pixels())
    assert true is not None
    assert actual["vae"]["test_log_px"] == pytest.approx(whole.log_px.mean())
    kl = (true - whole.log_px)[whole.passed]  # without the points whose quadrature failed its checks
    assert len(kl) > 0.9 * len(true)
    assert actual["vae"]["test_kl"] == pytest.approx(kl.mean())
    assert actual["vae"]["test_kl_se"] == pytest.approx(kl.std(ddof=1) / np.sqrt(len(kl)))
    assert line_density(run.truth, v).log_px == pytest.approx(log_px(run.model.decoder, sigma, v), abs=1e-3)
    mean = line_density(run.truth, data.validation.pixels()).log_px.mean()
    assert actual["vae"]["validation_log_px"] == pytest.approx(mean)


def test_passes_are_counted(done: tuple[Path, dict[str, Any]]) -> None:
    _, actual = done
    assert (actual["vae"]["decoder_passes"], actual["vae"]["encoder_passes"]) == (1.0, 1.0)
    assert (actual["iwae:5"]["decoder_passes"], actual["iwae:5"]["encoder_passes"]) == (5.0, 1.0)
    assert 1.0 <= actual["mapa:5"]["decoder_passes"] <= 6.0, "at most k + S a point, less what points share"
    assert actual["mapa:5"]["decoder_passes"] == actual["mapa:5"]["encoder_passes"]


def test_a_refined_run_has_no_count(done: tuple[Path, dict[str, Any]], jobs: dict[str, Job]) -> None:
    run = load_run(done[0] / "runs" / jobs["vae"].folder, device="cpu")
    with RowCounter(run.model.decoder) as counter:
        run.model.decode(torch.zeros(3, 4, 1))
    assert counter.rows == 12
    run.config = run.config.model_copy(update={"refiner": SVIConfig()})
    assert passes_per_point(run, run.data) is None


def test_evaluate_says_density_kl_and_passes(done: tuple[Path, dict[str, Any]], jobs: dict[str, Job]) -> None:
    run = load_run(done[0] / "runs" / jobs["iwae:5"].folder, device="cpu")
    quick = MixtureProposalSettings(components=10, samples=20, epochs=5, bound_samples=2000)
    result = evaluated(run, instances=20, k=5, mixture=quick)
    assert result["density"]["line"]["mean"] == pytest.approx(done[1]["iwae:5"]["test_log_px"])
    assert result["test_kl"]["line"]["mean"] == pytest.approx(done[1]["iwae:5"]["test_kl"])
    assert result["density"]["mixture"]["n"] == result["log_px"]["n"] == 20
    assert -1.0 < result["density"]["mixture"]["mean"] - result["log_px"]["mean"] < 0.05, "a lower bound, on the same"
    assert result["passes"] == {"decoder": 5.0, "encoder": 1.0}
    assert json.loads(json.dumps(result))


def test_images_have_none_of_it(small: Any, tmp_path: Path) -> None:
    """But the passes."""
    job = plan(parse_sweep({**small.model_dump(exclude={"preset"}), "epochs": 1}))[0]
    with one_thread(), coordinating(tmp_path) as token:
        actual = answer(job, tmp_path, token)
    assert actual["state"] == "done"
    assert [actual.get(name) for name in LATER] == [None, None, None, None, 1.0, 1.0]


def test_a_restart_is_chosen_by_log_p_where_all_have_it(tmp_path: Path) -> None:
    sweep = parse_sweep({**POINTS, "methods": ["vae"], "method_settings": {}, "restarts": [0, 1, 2]})
    jobs = plan(sweep)
    measured = {"epochs": 2, "train_seconds": 1.0, "score_seconds": 1.0}
    with open_store(tmp_path) as store:
        store.register(sweep, jobs)
        for job, elbo, log_px in zip(jobs, (3.0, 2.0, 1.0), (-1.0, -0.5, -2.0), strict=True):
            store.finish(job.key, measured | {"validation_elbo": elbo, "validation_log_px": log_px, "test_kl": 9.0})
    (best,) = best_restarts(open_results(tmp_path).rows())
    assert best.restart == 1
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE jobs SET result = json_remove(result, '$.validation_log_px') WHERE restart = 2")
    (best,) = best_restarts(open_results(tmp_path).rows())
    assert best.restart == 0, "by the ELBO, which all have"


def test_results_of_before_are_read(tmp_path: Path) -> None:
    sweep = parse_sweep({**POINTS, "methods": ["vae"], "method_settings": {}})
    (job,) = plan(sweep)
    old = {name: None for name in MEASURED if name not in LATER}
    with open_store(tmp_path) as store:
        store.register(sweep, [job])
        store.finish(job.key, old | {"validation_elbo": 1.0, "epochs": 2, "train_seconds": 1.0, "score_seconds": 1.0})
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        for name in LATER:
            connection.execute(f"UPDATE jobs SET result = json_remove(result, '$.{name}')")
    (row,) = open_results(tmp_path).rows()
    assert row.validation_elbo == 1.0
    assert [getattr(row, name) for name in LATER] == [None] * len(LATER)
    assert best_restarts([row]) == [row]
