"""What a worker does with one job, and how the sweep takes its answers; no cluster of processes."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distributed import Client, KilledWorker

from gpvae_core.data.base import load
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_config
from gpvae_core.runs import load_run
from gpvae_core.sweep import cluster, run, work
from gpvae_core.sweep.charge import TOKEN, call_off, coordinating
from gpvae_core.sweep.cluster import ClusterSettings
from gpvae_core.sweep.config import SweepConfig, parse_sweep
from gpvae_core.sweep.cost import Stopwatch, cell_costs, measure, total_seconds
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.results import Cost, open_results
from gpvae_core.sweep.run import Running, SweepProgress
from gpvae_core.sweep.store import open_store
from gpvae_core.sweep.work import Watch, score_run
from gpvae_core.threads import one_thread
from gpvae_core.truth.importance import decodes_at_once
from tests.sweep.conftest import SCORES, SETTINGS, answer

QUICK: dict[str, Any] = {**SETTINGS, "epochs": 2}


@pytest.fixture(scope="module")
def quick() -> SweepConfig:
    return parse_sweep(QUICK)


@pytest.fixture(scope="module")
def quick_jobs(quick: SweepConfig) -> list[Job]:
    return plan(quick)


@pytest.fixture(scope="module")
def first(quick_jobs: list[Job], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The first job, done: its folder and its answer."""
    out = tmp_path_factory.mktemp("first")
    with one_thread(), coordinating(out) as token:
        return out, answer(quick_jobs[0], out, token)


def same_scores(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return [a[name] for name in SCORES] == [b[name] for name in SCORES]


def test_a_truth_is_scored_where_it_is_wanted_and_kept(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    sweep = parse_sweep({**QUICK, "evaluate": {**QUICK.get("evaluate", {}), "truths": 3}})
    (job, *others), (folder, before) = plan(sweep), first
    shutil.copytree(folder / "runs", tmp_path / "runs")
    with one_thread(), coordinating(tmp_path) as token, open_store(tmp_path) as store:
        actual = answer(job, tmp_path, token)
        store.register(sweep, [job, *others])
        store.finish(job.key, actual)
    assert same_scores(actual, before)
    assert "truth_log_px" not in before
    run, index = load_run(tmp_path / "runs" / job.folder, device="cpu"), np.random.default_rng(0)
    x = run.data.test.pixels(index.permutation(len(run.data.test))[:3])
    (row,) = [row for row in open_results(tmp_path).rows() if row.key == job.key]
    assert row.truth_log_px == pytest.approx(run.gaps(x).log_px.mean(), abs=1e-4)
    assert (row.truth, row.truth_images, row.truth_error) == ("grid", 3, None)


def test_an_answer_says_what_the_run_folder_holds(first: tuple[Path, dict[str, Any]], quick_jobs: list[Job]) -> None:
    out, actual = first
    loaded = load_run(out / "runs" / quick_jobs[0].folder, device="cpu")
    assert actual["state"] == "done"
    assert actual["validation_elbo"] == max(row["validation_elbo"] for row in loaded.metrics)
    assert actual["parameters"] == sum(p.numel() for p in loaded.model.parameters())
    assert (actual["epochs"], actual["test_images"]) == (2, len(loaded.data.test))
    assert actual["train_seconds"] == loaded.metrics[-1]["seconds"]


def test_the_score_is_the_mean_iwae_bound(first: tuple[Path, dict[str, Any]], quick_jobs: list[Job]) -> None:
    """Section 10 of the paper written out in numpy, on the same noise."""
    out, actual = first
    loaded = load_run(out / "runs" / quick_jobs[0].folder, device="cpu")
    data, model, k = load(quick_jobs[0].config.data), loaded.model, quick_jobs[0].score.k
    generator = torch.Generator().manual_seed(quick_jobs[0].score.seed)
    x = data.test.pixels()
    assert decodes_at_once(x.device) // 2 < len(x) <= work.WEIGHTS_AT_ONCE // k, "the noise is drawn as below"
    with torch.no_grad(), one_thread():
        q = model.infer(x, generator)
        draws = [q.rsample_and_log_prob(1, generator) for _ in range(k)]  # as many latents as are decoded at a time
        z, log_q = (torch.cat(parts) for parts in zip(*draws, strict=True))
        g = model.decode(z).double().numpy()
        sigma = model.likelihood.noise_scale()
    assert sigma is not None
    pixels = x.double().numpy()
    log_p = (-0.5 * ((pixels - g) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)).sum((-3, -2, -1))
    log_p += (-0.5 * z.double().numpy() ** 2 - 0.5 * math.log(2 * math.pi)).sum(-1)
    log_w = log_p - log_q.double().numpy()
    iwae = np.log(np.exp(log_w - log_w.max(0)).mean(0)) + log_w.max(0)
    assert actual["test_iwae"] == pytest.approx(iwae.mean(), abs=1e-3)
    assert actual["test_elbo"] == pytest.approx(log_w.mean(), abs=1e-3)
    assert actual["test_iwae_se"] == pytest.approx(iwae.std(ddof=1) / math.sqrt(len(x)), rel=1e-3)


def test_a_job_done_twice_trains_once_and_answers_the_same(
    first: tuple[Path, dict[str, Any]], quick_jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(work, "train", train)
    monkeypatch.setattr(work, "resume", train)
    out, actual = first
    with one_thread(), coordinating(out) as token:
        assert same_scores(answer(quick_jobs[0], out, token), actual)


def test_what_a_kill_before_the_first_save_left_is_begun_anew(
    first: tuple[Path, dict[str, Any]], quick_jobs: list[Job], tmp_path: Path
) -> None:
    rest = tmp_path / "runs" / quick_jobs[0].folder / "last"
    rest.mkdir(parents=True)
    (rest / "weights.safetensors").write_bytes(b"half")
    with one_thread(), coordinating(tmp_path) as token:
        assert same_scores(answer(quick_jobs[0], tmp_path, token), first[1])


def test_a_stopped_job_goes_on_to_the_same_scores(
    first: tuple[Path, dict[str, Any]], quick_jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK_SECONDS", 0.0)
    calls = 0
    seen = Watch.__call__

    def call_off_after_ten(self: Watch, done: int, total: int, what: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            call_off(tmp_path)
        seen(self, done, total, what)

    with one_thread():
        with coordinating(tmp_path) as token, monkeypatch.context() as patch:
            patch.setattr(Watch, "__call__", call_off_after_ten)
            assert answer(quick_jobs[0], tmp_path, token) == {"state": "stopped"}
        assert read_config(tmp_path / "runs" / quick_jobs[0].folder) == quick_jobs[0].config
        with coordinating(tmp_path) as token:
            assert same_scores(answer(quick_jobs[0], tmp_path, token), first[1])


def test_a_worker_of_another_coordinator_does_nothing(quick_jobs: list[Job], tmp_path: Path) -> None:
    assert answer(quick_jobs[0], tmp_path, "mine") == {"state": "stopped"}, "none is in charge"
    (tmp_path / TOKEN).write_text("another", encoding="utf-8")
    assert answer(quick_jobs[0], tmp_path, "mine") == {"state": "stopped"}
    assert not (tmp_path / "runs").exists()


def test_another_run_in_the_jobs_folder_is_left_alone(
    first: tuple[Path, dict[str, Any]], quick_jobs: list[Job], tmp_path: Path
) -> None:
    shutil.copytree(first[0] / "runs" / quick_jobs[0].folder, tmp_path / "runs" / quick_jobs[1].folder)
    with coordinating(tmp_path) as token:
        actual = answer(quick_jobs[1], tmp_path, token)
    assert actual["state"] == "failed"
    assert "holds another run" in actual["message"]


def test_a_held_run_is_waited_for_and_then_given_up(
    quick_jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOCK_SECONDS", 0.1)
    with coordinating(tmp_path) as token, work._locked(tmp_path / "runs" / quick_jobs[0].folder):
        actual = answer(quick_jobs[0], tmp_path, token)
    assert actual["state"] == "failed"
    assert "is held by another worker" in actual["message"]


# -- how the sweep takes it --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A scheduler and a worker in this process."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as actual:
        yield actual


def go(sweep: SweepConfig, jobs: list[Job], out: Path, client: Client, told: list[SweepProgress]) -> run.Outcome:
    with one_thread(), coordinating(out) as token, open_store(out) as store:
        statuses = store.register(sweep, jobs)
        todo = [job for job in jobs if statuses[job.key] != "done"]
        running = Running(jobs, todo, out, token, "cpu", store, told.append)
        running.go(client, lambda: False)
        return running.outcome


def test_a_job_that_fails_is_recorded_and_tried_again(tmp_path: Path, client: Client) -> None:
    settings = {"methods": ["vae", "gp"], "splits": [0], "restarts": [0], "method_settings": {"gp": {"train.lr": 1e30}}}
    sweep = parse_sweep({**QUICK, **settings})
    jobs = plan(sweep)
    for done_before in (0, 1):
        told: list[SweepProgress] = []
        outcome = go(sweep, jobs, tmp_path, client, told)
        assert (outcome.total, outcome.done, len(outcome.failed)) == (2, 1, 1)
        assert "training diverged" in outcome.failed[0]
        assert len([standing for standing in told if standing.news]) == 2 - done_before
        rows = {row.method: row for row in open_results(tmp_path).rows()}
        assert (rows["vae"].status, rows["gp"].status) == ("done", "failed")
        assert "training diverged" in (rows["gp"].message or "")


def test_a_damaged_run_fails_alone(
    first: tuple[Path, dict[str, Any]],
    quick: SweepConfig,
    quick_jobs: list[Job],
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time left is estimated from the metrics of a run whose job runs, here at once: those are damaged."""
    monkeypatch.setattr(run, "TICK_SECONDS", 0.01)
    shutil.copytree(first[0] / "runs", tmp_path / "runs")
    metrics = tmp_path / "runs" / quick_jobs[0].folder / "metrics.jsonl"
    metrics.write_text('junk\n{"epoch":1}\n', encoding="utf-8")
    for _ in range(2):
        told: list[SweepProgress] = []
        outcome = go(quick, quick_jobs[:2], tmp_path, client, told)
        assert any(standing.running and not standing.news for standing in told)
        assert (outcome.total, outcome.done, len(outcome.failed)) == (2, 1, 1)
        assert "metrics.jsonl' is damaged: line 1 is not JSON" in outcome.failed[0]
        rows = {row.key: row.status for row in open_results(tmp_path).rows()}
        assert [rows[job.key] for job in quick_jobs[:2]] == ["failed", "done"]


@pytest.mark.parametrize("content", [None, "", "\n", '{"epoch": 1, "validation'])
def test_a_finished_run_without_metrics_is_a_failed_cell(
    content: str | None,
    first: tuple[Path, dict[str, Any]],
    quick_jobs: list[Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one whose only line was cut off by a kill; nothing is scored in vain."""
    monkeypatch.setattr(work, "score_run", lambda *_: pytest.fail("scored before the metrics were read"))
    shutil.copytree(first[0] / "runs", tmp_path / "runs")
    metrics = tmp_path / "runs" / quick_jobs[0].folder / "metrics.jsonl"
    metrics.unlink()
    if content is not None:
        metrics.write_text(content, encoding="utf-8")
    with one_thread(), coordinating(tmp_path) as token:
        actual = answer(quick_jobs[0], tmp_path, token)
    assert actual["state"] == "failed"
    assert actual["message"].startswith(f"'{metrics}' is missing or empty: wanted the metrics")
    assert "\n" not in actual["message"]


def test_the_cost_after_each_job_is_known_without_reading_all_results(
    quick: SweepConfig, quick_jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, each job that ended read all that had ended: of 2,000, 0.26 s each."""
    measured = dict.fromkeys(("validation_elbo", "test_iwae"), 1.0)
    with open_store(tmp_path) as store:
        store.register(quick, quick_jobs)
        store.finish(quick_jobs[0].key, {**measured, "train_seconds": 3.0, "epochs": 2, "score_seconds": 5.0})
        running = Running(quick_jobs, quick_jobs[1:], tmp_path, "token", "cpu", store, None)
        with monkeypatch.context() as patch:
            patch.setattr(type(store.results), "rows", lambda *_: pytest.fail("read all results"))
            for number, job in enumerate(quick_jobs[1:], 1):
                answer = {**measured, "train_seconds": 7.0 * number, "epochs": 2 + number, "score_seconds": 1.0}
                running._enter(job, {"state": "done", **answer})
        kept, read = running._costs, store.results.costs()
    assert kept == read
    assert kept[quick_jobs[0].cost_key] == Cost((3.0 + 7.0 + 14.0 + 21.0) / (2 + 3 + 4 + 5), 8.0 / 4)


def test_only_a_plan_of_many_jobs_shows_its_progress(quick: SweepConfig) -> None:
    told: list[tuple[int, int, str]] = []

    def report(done: int, total: int, what: str) -> None:
        told.append((done, total, what))

    plan(quick, report)
    assert told == []
    many = quick.model_copy(update={"splits": tuple(range(10)), "restarts": tuple(range(101))})
    assert len(plan(many, report)) == 1010
    assert told == [(done, 1010, "planning") for done in (*range(100, 1001, 100), 1010)]


def test_what_no_job_is_meant_to_raise_is_one_line_too(
    quick: SweepConfig, quick_jobs: list[Job], tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(*_: Any) -> dict[str, Any]:
        raise RuntimeError("out of\nsomething")

    monkeypatch.setattr(run, "run_job", boom)
    outcome = go(quick, quick_jobs[:1], tmp_path, client, [])
    assert open_results(tmp_path).rows()[0].message == "RuntimeError: out of something"
    assert len(outcome.failed) == 1
    assert "too little memory" in run._why(KilledWorker("job", None, 3))  # pyright: ignore[reportArgumentType]


def test_a_worker_that_does_not_see_the_folder_ends_the_sweep(
    quick: SweepConfig, quick_jobs: list[Job], tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "run_job", lambda *_: {"state": "stopped"})
    with pytest.raises(UserError, match="on a disk that all workers share"):
        go(quick, quick_jobs[:1], tmp_path, client, [])


def test_the_time_left_follows_from_what_is_known(quick: SweepConfig, quick_jobs: list[Job], tmp_path: Path) -> None:
    told: list[SweepProgress] = []
    with open_store(tmp_path) as store:
        store.register(quick, quick_jobs)
        Running(quick_jobs, quick_jobs, tmp_path, "", "cpu", store, told.append).tell()
        store.put_cost(quick_jobs[0].cost_key, Cost(3.0, 4.0))
        Running(quick_jobs, quick_jobs[1:], tmp_path, "", "cpu", store, told.append).tell()
    assert [standing.seconds_left for standing in told] == [None, pytest.approx(3 * (2 * 3.0 + 4.0))]
    assert [standing.done for standing in told] == [0, 1]


def test_workers_of_each_kind_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "cores", lambda: 8)
    for devices, where, expected in [
        (["cpu"], ClusterSettings(), (8, 0)),
        (["cpu"], ClusterSettings(workers=3), (3, 0)),
        (["cuda:0", "cuda:1", "cpu"], ClusterSettings(), (2, 2)),
        (["cuda:0", "cuda:1", "cpu"], ClusterSettings(workers=1), (1, 2)),
        (["cuda:0", "cuda:1", "cpu"], ClusterSettings(workers=9), (2, 2)),
        (["cuda:0", "cpu"], ClusterSettings(device="cpu"), (8, 0)),
        (["mps", "cpu"], ClusterSettings(), (1, 0)),
    ]:
        monkeypatch.setattr(cluster, "available_devices", lambda actual=devices: actual)
        assert where.local() == expected


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_stopwatch_leaves_out_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 10.0, 20.0, 30.0, *(30.0 + 0.5 * i for i in range(1, 20))])
    monkeypatch.setattr("gpvae_core.sweep.cost.time.perf_counter", lambda: next(times))
    monkeypatch.setattr("gpvae_core.sweep.cost.AT_MOST_SECONDS", 1e9)
    watch = Stopwatch(torch.device("cpu"))

    def train() -> None:
        for step in range(1, 100):
            watch(step, 700, "training")

    with pytest.raises(Cancelled):
        train()
    assert watch.step_seconds() == pytest.approx(0.5)
    assert watch.steps_in_all == 700


def test_a_measured_cost_is_near_what_the_training_took(first: tuple[Path, dict[str, Any]]) -> None:
    """A sixth to six times: this is a busy machine, but a factor of batches or images would show."""
    sweep = parse_sweep({**QUICK, "epochs": 30, "splits": [0], "restarts": [0]})
    (job,) = plan(sweep)
    cost = measure(job, "cpu")
    assert cost.epoch_seconds > 0
    assert first[1]["train_seconds"] / 2 / 6 < cost.epoch_seconds < first[1]["train_seconds"] / 2 * 6
    assert cost.score_seconds < 60


def test_the_plan_adds_up(quick_jobs: list[Job]) -> None:
    costs = {quick_jobs[0].cost_key: Cost(3.0, 4.0)}
    (row,) = cell_costs(quick_jobs, {quick_jobs[0].key: "done", quick_jobs[1].key: "failed"}, costs)
    assert (row.jobs, row.done, row.to_do, row.job_seconds, row.seconds) == (4, 1, 3, 10.0, 30.0)
    assert total_seconds([row]) == 30.0
    assert total_seconds(cell_costs(quick_jobs, {}, {})) is None


def test_scores_that_are_no_numbers_are_no_results(first: tuple[Path, dict[str, Any]], quick_jobs: list[Job]) -> None:
    loaded = load_run(first[0] / "runs" / quick_jobs[0].folder, device="cpu")
    data = load(quick_jobs[0].config.data)
    with torch.no_grad():
        next(loaded.model.decoder.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=f"is not a number on {len(data.test)} test images"):
        score_run(loaded, data, quick_jobs[0].score, lambda done, total, what: None)


def test_nothing_is_left_open(tmp_path: Path, quick: SweepConfig) -> None:
    with open_store(tmp_path) as store:
        store.register(quick, [])
    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.sqlite"], "no write-ahead log stays behind"
