"""Sweeps of models of images given their columns: their scores, and what shows them."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.cli.sweep import summarize_cells
from gpvae_core.errors import UserError
from gpvae_core.evaluation.as_published import as_published
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.inference.base import INFERENCES
from gpvae_core.plots import beside_paper
from gpvae_core.plots.theme import LIGHT
from gpvae_core.runs import load_run
from gpvae_core.sweep.charge import coordinating
from gpvae_core.sweep.config import parse_sweep
from gpvae_core.sweep.cost import measure
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.result import Result
from gpvae_core.sweep.results import best_restarts, open_results
from gpvae_core.sweep.scores import CONDITIONAL, LOG_LIKELIHOOD, SQUARE_ERROR, score_of
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.compare import BEHIND, BEST, our_marks
from gpvae_core.tables.export import to_csv, to_latex
from gpvae_core.tables.own import own_cells, own_key, own_keys, own_table
from gpvae_core.tables.sheet import SheetChoice, make_sheet, read, table_options
from tests.commands import gpvae
from tests.series_table import BY_SERIES, SMALL, TEST_IMAGES, write_series
from tests.sweep.conftest import answer
from tests.tables.test_own import result

SETTINGS: dict[str, Any] = {
    "name": "series",
    "methods": ["svgp:3", "cvae"],
    "latent_dims": [2],
    "epochs": 2,
    "set": SMALL,
    "method_settings": {"svgp": BY_SERIES},
    "evaluate": {"k": 2},
}
Finished = tuple[Path, list[Job], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A sweep whose jobs were done in this process: its folder, its jobs and what was answered about them."""
    out = tmp_path_factory.mktemp("series")
    sweep = parse_sweep(SETTINGS | {"datasets": [write_series(out)]})
    jobs = plan(sweep)
    with coordinating(out) as token, open_store(out) as store:
        store.register(sweep, jobs)
        answers = [answer(job, out, token) for job in jobs]
        for job, answered in zip(jobs, answers, strict=True):
            assert answered["state"] == "done", answered
            store.finish(job.key, answered)
    return out, jobs, answers


def test_scores_are_those_of_the_evaluation(finished: Finished) -> None:
    out, jobs, _ = finished
    rows = {row.method: row for row in open_results(out).rows()}
    for job in jobs:
        run, row = load_run(out / "runs" / job.folder), rows[job.config.method]
        expected = evaluate_conditional(run, k=2, seed=0)
        assert (row.test_mse, row.test_mse_se) == (expected.mse.mean, expected.mse.se)
        assert (row.test_mse_sample, row.test_nlpd) == (expected.mse_sample.mean, expected.nlpd.mean)
        assert (row.test_coverage, row.path_rmse) == (expected.coverage.mean, expected.path_rmse)
        assert row.test_images == TEST_IMAGES
        assert row.test_iwae is None
        assert row.test_score == row.test_mse
        assert row.train_seconds is not None
        assert row.validation_elbo == max(metrics["validation_elbo"] for metrics in run.metrics)


def test_the_published_figure_is_the_smallest_of_the_kept_epochs_and_the_run_stays(
    finished: Finished,
) -> None:
    out, jobs, _ = finished
    folder = out / "runs" / jobs[0].folder
    run = load_run(folder)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    found = as_published(run)
    errors = [evaluate_conditional(load_run(folder, epoch=epoch), k=1).mse_sample.mean for epoch in (1, 2)]
    assert found.mse.mean == min(error for error in errors if error is not None)
    assert (list(found.by_epoch), found.decoded) == ([1, 2], "sample")
    assert errors[found.epoch - 1] == found.mse.mean
    assert all((value == before[name]).all() for name, value in run.model.state_dict().items())
    row = next(row for row in open_results(out).rows() if row.folder == jobs[0].folder)
    assert (row.test_mse_published, row.published_epoch) == (found.mse.mean, found.epoch)


def test_a_finished_job_is_not_done_again(finished: Finished) -> None:
    out, jobs, answers = finished
    before = (out / "runs" / jobs[1].folder / "metrics.jsonl").read_bytes()
    with coordinating(out) as token:
        again = answer(jobs[1], out, token)
    assert {**again, "score_seconds": 0} == {**answers[1], "score_seconds": 0}
    assert (out / "runs" / jobs[1].folder / "metrics.jsonl").read_bytes() == before


def test_tables_summary_and_figure_take_the_square_error(
    finished: Finished,
) -> None:
    out, jobs, _ = finished
    rows = open_results(out).rows()
    (summary, other) = summarize_cells(best_restarts(rows))
    assert {"test_mse", "sd", "runs"} < summary.keys()
    assert "test_iwae" not in other
    assert own_keys(rows) == {f"mse-{jobs[0].config.data.name}": jobs[0].config.data.name}
    sheet = make_sheet(read(out), SheetChoice(out))
    assert sheet.key == f"mse-{jobs[0].config.data.name}"
    assert sheet.of_scores
    assert sheet.table.unit == "pixel²"
    best = min(sheet.cells, key=lambda cell: cell.mean or math.inf)
    assert best.mark == BEST
    assert [line["mean"] for line in csv.DictReader(io.StringIO(to_csv(sheet.cells)))] == [
        str(cell.mean) for cell in sheet.cells
    ]
    assert f"{best.mean:.4f}" in to_latex(sheet.table, sheet.cells)
    drawn: Any = beside_paper.figure(sheet.cells, LIGHT)
    assert "pixel²" in drawn.layout.xaxis.title.text
    assert "square error" in table_options(read(out))[sheet.key]


def test_the_page_shows_the_square_error(finished: Finished) -> None:
    from dashboards.results import rows, words

    out, _, _ = finished
    sheet = make_sheet(read(out), SheetChoice(out))
    content = rows.table_content(sheet)
    assert "Ours (pixel²)" in [heading.title for heading in content.columns]
    assert "predictions by 2 samples" in words.setup_words(sheet)
    assert "Further left is better." in words.figure_sentence(sheet)
    assert "pixel²" in words.figure_alt(sheet.cells)


def test_the_command_prints_and_resumes(finished: Finished, tmp_path: Path) -> None:
    out, jobs, _ = finished
    file = tmp_path / "series.toml"
    lists = {name: SETTINGS[name] for name in ("methods", "latent_dims", "epochs")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in lists.items()]
    lines += [f"datasets = {json.dumps([jobs[0].config.data.name])}", "evaluate = { k = 2 }", "[set]"]
    lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in SMALL.items()]
    lines += ["[method_settings.svgp]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in BY_SERIES.items())]
    file.write_text("\n".join(lines))
    code, text, error = gpvae("sweep", str(file), "--out", str(out), "--json", cwd=tmp_path)
    assert code == 0, error
    content = json.loads(text)
    assert (content["done"], content["failed"]) == (2, [])
    assert {cell["method"] for cell in content["cells"]} == {"svgp:3", "cvae"}
    code, text, error = gpvae("sweep", str(file), "--out", str(out), cwd=tmp_path)
    assert code == 0, error
    assert "test_mse" in text
    assert "in pixel²" in text


def test_the_cost_of_predictions_is_measured(finished: Finished) -> None:
    _, jobs, _ = finished
    cost = measure(jobs[0], "cpu")
    assert cost.epoch_seconds > 0
    assert cost.score_seconds > 0


def test_truths_and_data_without_columns_are_refused_before_any_training(tmp_path: Path) -> None:
    name = write_series(tmp_path)
    with pytest.raises(UserError, match=r"leave out evaluate\.truths=5"):
        plan(parse_sweep(SETTINGS | {"datasets": [name], "evaluate": {"truths": 5}}))
    with pytest.raises(UserError, match="wants data with auxiliary columns"):
        plan(parse_sweep(SETTINGS | {"datasets": ["digits"], "methods": ["cvae"], "method_settings": {}}))


def test_the_kinds_of_inference_that_are_scored_by_predictions_are_the_conditional_ones() -> None:
    assert {kind for kind in INFERENCES.summaries() if INFERENCES.get(kind).conditional} == CONDITIONAL
    assert score_of("svgp") == SQUARE_ERROR
    assert score_of("amortized") == score_of("") == LOG_LIKELIHOOD


def test_smaller_errors_are_better() -> None:
    assert our_marks([[1.0, 1.0], [2.0, 2.0]], smaller_is_better=True) == [(None, BEST), (0.0, BEHIND)]


def test_both_scores_of_one_data_set_have_tables_of_their_own() -> None:
    vae = result("rotated-mnist", "vae", 2, 0, -5.0)
    svgp: Result = replace(vae, method="svgp:32", inference="svgp", test_iwae=None, test_mse=0.02)
    rows = [vae, svgp]
    assert [own_key(row) for row in rows] == ["data-rotated-mnist", "mse-rotated-mnist"]
    means = {key: [cell.mean for cell in own_cells(own_table(key, rows), rows)] for key in own_keys(rows)}
    assert means == {"data-rotated-mnist": [-5.0], "mse-rotated-mnist": [0.02]}
