"""The Results page in a real browser over results files with known scores, and its parts without one."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from scipy.stats import ttest_ind

from dashboards.lab.address import listed
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.results import rows, words
from dashboards.results.page import ResultsPage
from dashboards.results.state import ResultsState, dims_of
from dashboards.widgets.table import Heading, Item, ResultsTable, TableContent, TableLine
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.data.mnist import Mnist
from gpvae_core.errors import UserError
from gpvae_core.sweep.config import SweepConfig, parse_sweep, run_seed
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.result_files import ResultFiles, signature
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.build import table_sweeps
from gpvae_core.tables.paper import paper_table
from gpvae_core.tables.sheet import SheetChoice, make_sheet, read, table_options
from gpvae_core.tables.times import bench_times

expect.set_options(timeout=20_000)
SCORES = {"gp": (700.0, 702.0, 704.5), "sa:1": (701.0, 703.0, 699.5), "vae": (690.0, 691.0)}
"""Test IWAE of each split; the VAE's third is not there yet."""
LATE = 692.6
Scores = Mapping[str, Sequence[float]]


def jobs_of(sweep: SweepConfig, shape: tuple[int, int, int]) -> list[Job]:
    """The sweep's jobs at its first d, without reading any images."""
    out = []
    for method in sweep.methods:
        settings = {**sweep.overrides(method), "latent_dim": sweep.latent_dims[0], "train.epochs": sweep.epochs}
        config = make_config(method, DataConfig(name=sweep.datasets[0]), shape, settings, sweep.preset)
        for split in sweep.splits:
            data = config.data.model_copy(update={"split_seed": split})
            one = config.model_copy(update={"data": data, "seed": run_seed(split, 0)})
            out.append(Job(one, sweep.evaluate, split, 0))
    return out


def measured(score: float) -> dict[str, Any]:
    """What a job returns."""
    return {
        "validation_elbo": score - 5, "test_iwae": score, "test_iwae_se": 1.0, "test_elbo": score - 9,
        "test_elbo_se": 1.0, "test_images": 100, "epochs": 7, "best_epoch": 6, "parameters": 99, "train_seconds": 70.0,
        "score_seconds": 50.0, "device": "cpu", "note": None, "versions": {},
    }  # fmt: skip


def fill(out: Path, sweep: SweepConfig, jobs: Sequence[Job], scores: Scores) -> None:
    """Enter the sweep and the scores that there are; nothing is trained."""
    with open_store(out) as store:
        store.register(sweep, jobs)
        for job in jobs:
            if job.split < len(scores.get(job.config.method, ())):
                store.start(job.key)
                store.finish(job.key, measured(scores[job.config.method][job.split]))


def mnist(out: Path, scores: Scores = SCORES) -> tuple[SweepConfig, list[Job]]:
    """Three methods of Table 1 at d = 10, three splits each."""
    sweep = table_sweeps(paper_table(1), [10], ["vae", "sa:1", "gp"], epochs=7, runs=3, restarts=1)[0]
    jobs = jobs_of(sweep, (1, 28, 28))
    fill(out, sweep, jobs, scores)
    return sweep, jobs


DIGITS = {"vae": (20.0, 22.0), "gp": (27.0, 28.0)}


def digits(out: Path, epochs: int = 4, scores: Scores = DIGITS) -> str:
    """A data set that is in no table of the paper; returns the setup's key."""
    raw = {"name": "tiny", "datasets": ["digits"], "methods": ["vae", "gp"], "splits": [0, 1], "epochs": epochs}
    sweep = parse_sweep(raw)
    fill(out, sweep, jobs_of(sweep, (1, 8, 8)), scores)
    return sweep.setup_key()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a person works in: results of two sweeps, and one that is damaged."""
    root = tmp_path_factory.mktemp("work")
    (root / "sweeps" / "damaged").mkdir(parents=True)
    (root / "sweeps" / "damaged" / "results.sqlite").write_bytes(b"no database" * 100)
    digits(root / "sweeps" / "digits")
    mnist(root / "sweeps" / "mnist")
    return root


@pytest.fixture(scope="module")
def url(start_server: Callable[..., Any], folder: Path) -> str:
    return f"{start_server(Path('runs'), cwd=folder).url}results"


def opened(page: Any, address: str) -> Any:
    """The page once it shows a table."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address)
    expect(page.locator("section.results tbody tr").first).to_be_visible(timeout=60_000)
    return page


def entry(page: Any, method: str, key: str) -> Any:
    """What a row says in a column."""
    row = page.locator("section.results tbody tr").filter(has=page.get_by_role("rowheader", name=method, exact=True))
    return row.first.locator(f"[data-key={key}]")


def saved(page: Any, kind: str) -> tuple[str, str]:
    """Name and text of a download."""
    with page.expect_download() as download:
        page.locator("section.results").get_by_role("button", name=f"Save the rows shown as {kind}").click()
    return download.value.suggested_filename, Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.page
def test_ours_stand_beside_the_paper_and_can_be_sorted_filtered_and_saved(offline_page: Any, url: str) -> None:
    page = opened(offline_page, f"{url}?file=sweeps/mnist&d=10")
    expect(page.locator("section.results h2")).to_have_text(re.compile("Table 1. MNIST"))
    expect(entry(page, "VAE", "paper")).to_have_text("685.1 ± 1.8")
    expect(entry(page, "GPVAE", "ours")).to_have_text("★ 702.2 ± 2.3")
    expect(entry(page, "SA(1)", "ours")).to_have_text("≈ 701.2 ± 1.8")
    expect(entry(page, "VAE", "ours")).to_have_text("690.5 ± 0.7")
    expect(entry(page, "VAE", "difference")).to_have_text("+5.4")
    expect(entry(page, "VAE", "missing")).to_have_text("8 of 10")
    expect(entry(page, "VAE", "time")).to_have_text("16 min")  # 8 trainings of 70 s and their scores of 50 s
    found = {method: ttest_ind(SCORES[method], SCORES["gp"], equal_var=False) for method in ("vae", "sa:1")}
    p = {method: test.pvalue for method, test in found.items()}  # pyright: ignore[reportAttributeAccessIssue]
    expect(entry(page, "VAE", "p")).to_have_attribute("title", f"p = {p['vae']:.3g}")
    expect(entry(page, "SA(1)", "p")).to_have_attribute("title", f"p = {p['sa:1']:.3g}")
    expect(page.get_by_text("7 epochs (the paper: 2000)")).to_be_visible()
    expect(page.locator("section.view .main-svg").first).to_be_attached()

    rows = page.locator("section.results tbody tr")
    expect(rows).to_have_count(22)
    inside = "holder => holder.scrollHeight <= holder.clientHeight"
    assert page.locator("#rows").evaluate(inside), "GPVAE, the last row, is not below an inner scroll"
    expect(entry(page, "IAF(4)", "method")).to_have_attribute("title", re.compile("^Inverse autoregressive flows"))
    heading = page.get_by_role("columnheader", name="Ours (nats)")
    heading.get_by_role("button").press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(rows.first).to_contain_text("GPVAE")
    expect(heading.get_by_role("button")).to_be_focused()
    heading.get_by_role("button").press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(rows.first).to_contain_text("690.5")
    expect(rows.nth(2)).to_contain_text("GPVAE")  # what is not known stays below

    name, text = saved(page, "CSV")
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(text))}
    assert name == "table-1.csv"
    assert len(lines) == 22
    assert float(lines["gp"]["mean"]) == pytest.approx(sum(SCORES["gp"]) / 3)
    assert float(lines["vae"]["p"]) == pytest.approx(p["vae"])
    assert (lines["iaf:4"]["mean"], lines["iaf:4"]["paper_mean"]) == ("", "685.0")
    name, text = saved(page, "LaTeX")
    assert name == "table-1.tex"
    assert "GPVAE & $\\mathbf{702.2}^{2.3}$ (696.5) \\\\" in text
    assert text.count("\\\\\n") == 23


@pytest.mark.page
def test_a_filter_goes_into_the_address_and_into_the_command(offline_page: Any, url: str) -> None:
    page = opened(offline_page, f"{url}?file=sweeps/mnist&d=10&methods=vae,gp&runs=3")
    expect(page.locator("section.results tbody tr")).to_have_count(2)
    wanted = "gpvae table 1 --dims 10 --methods vae --epochs 7 --runs 3 --restarts 1 --out sweeps/mnist"
    expect(page.locator("section.results code").last).to_have_text(wanted)  # before it: fetch the data, if absent
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    entry(page, "VAE", "command").get_by_role("button").click()
    expect(page.locator("section.results .said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == wanted
    page.get_by_role("combobox", name="Table").click()
    page.locator("li").get_by_text("Table 2 · OMNIGLOT", exact=True).click()
    expect(page.locator("section.results h2")).to_have_text(re.compile("Table 2. OMNIGLOT"))
    expect(entry(page, "GPVAE", "paper")).to_have_text("★ 354.8 ± 1.5")
    page.wait_for_function("() => new URLSearchParams(location.search).get('table') === '2'", timeout=20_000)
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_what_a_sweep_finishes_appears_by_itself(
    offline_page: Any, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    page = opened(offline_page, f"{start_server(Path('runs'), cwd=tmp_path).url}results")
    expect(page.get_by_text("No results yet")).to_be_visible()
    expect(page.locator("code", has_text=words.FIRST_COMMAND)).to_be_visible()
    expect(entry(page, "VAE", "ours")).to_have_text("not yet")
    out = tmp_path / "sweeps" / "new"
    _, jobs = mnist(out)
    expect(entry(page, "VAE", "ours")).to_have_text("690.5 ± 0.7")
    expect(page.get_by_text("8 of 9 trainings done")).to_be_visible()
    expect(page.get_by_text("No results yet")).to_be_hidden()
    late = next(job.key for job in jobs if job.config.method == "vae" and job.split == 2)
    with open_store(out) as store:  # as in a sweep that goes on: what is written is in the journal only
        store.start(late)
        expect(page.get_by_text("1 running")).to_be_visible()
        store.finish(late, measured(LATE))
        expect(entry(page, "VAE", "ours")).to_have_text("691.2 ± 1.3")
        expect(page.get_by_text("9 of 9 trainings done")).to_be_visible()


@pytest.mark.page
def test_a_damaged_file_is_said_in_one_line_and_others_can_be_chosen(offline_page: Any, url: str) -> None:
    page = opened(offline_page, f"{url}?file=sweeps/damaged&d=ten")
    expect(page.locator(".notice")).to_contain_text("is not a results file of this program, or it is damaged")
    expect(page.locator(".notice")).to_contain_text("d: wanted latent dimensions such as 10,50, got 'ten'")
    expect(entry(page, "VAE", "paper")).to_have_text("685.1 ± 1.8")
    page.get_by_role("combobox", name="Results").click()
    page.locator("li").get_by_text("sweeps/digits", exact=True).click()
    expect(page.locator("section.results h2")).to_have_text("digits: test log-likelihood scores")
    expect(entry(page, "GPVAE", "ours")).to_have_text("★ 27.5 ± 0.7")
    expect(page.locator(".notice")).to_be_hidden()
    assert page.get_by_role("columnheader", name="Paper (nats)").count() == 0


def sheet_of(path: Path | None, **choice: Any) -> Any:
    return make_sheet(read(path), SheetChoice(path, **choice))


def test_files_are_found_below_their_places_the_newest_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = ResultFiles().found()
    assert set(found) == {"sweeps/digits", "sweeps/mnist", "sweeps/damaged"}
    times = [max(signature(path)) for path in found.values()]
    assert times == sorted(times, reverse=True)
    assert len(ResultFiles([folder / "sweeps" / "mnist"]).found()) == 3  # found twice, counted once
    monkeypatch.chdir(folder / "sweeps" / "mnist")
    assert ResultFiles().found() == {}
    assert set(ResultFiles([folder / "sweeps"]).found()) == set(found)


def test_a_newer_file_is_refused_in_one_line(tmp_path: Path) -> None:
    digits(tmp_path)
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(UserError, match="written by a newer version"):
        read(tmp_path / "results.sqlite")


def test_without_results_the_paper_is_shown_with_where_to_begin() -> None:
    sheet = sheet_of(None)
    assert (sheet.key, len(sheet.cells), sheet.setup) == ("1", 66, None)
    first, rest = words.calls(sheet)[-2:]
    assert (first.first, first.command) == (True, words.FIRST_COMMAND)
    assert rest.command == "gpvae table 1"
    assert words.progress(sheet) == ""


def test_data_that_are_absent_are_fetched_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MNIST is not on the machine, the commands that need it would only fail."""
    monkeypatch.setattr(Mnist, "present", classmethod(lambda cls: False))
    fetch, *others = words.calls(sheet_of(None))
    assert (fetch.words, fetch.command) == (words.FETCH, "gpvae data fetch mnist")
    assert [call.command for call in others] == [words.FIRST_COMMAND, "gpvae table 1"]
    monkeypatch.setattr(Mnist, "present", classmethod(lambda cls: True))
    assert words.calls(sheet_of(None)) == tuple(others)


def test_a_sheet_says_which_setup_and_which_command(folder: Path) -> None:
    path = folder / "sweeps" / "digits" / "results.sqlite"
    sheet = sheet_of(path, runs=5)
    assert sheet.key == "data-digits"
    assert next(iter(table_options(read(path)))) == "data-digits"
    assert sheet.command(sheet.cells) == f"gpvae sweep tiny.toml --out {path.parent}"
    assert words.missing_in_all(sheet.cells) == "6 runs missing in the rows shown (9 min for 2 cells)"
    assert "ours: 4 epochs; no preset" in words.setup_words(sheet)
    assert words.progress(sheet).startswith("4 of 4 trainings done, last result 20")
    complete = sheet_of(path)
    assert (complete.runs, complete.command(complete.cells), words.calls(complete)) == (2, "", ())
    with pytest.raises(UserError, match="wanted one of the tables"):
        sheet_of(path, table="6")


def test_results_are_preferred_to_what_is_only_planned(tmp_path: Path) -> None:
    finished, planned = digits(tmp_path, epochs=1), digits(tmp_path, epochs=9, scores={})
    path = tmp_path / "results.sqlite"
    sheet = sheet_of(path)
    assert [setup.setup for setup in sheet.setups] == [planned, finished]
    assert (sheet.setup.setup, words.progress(sheet)[:22]) == (finished, "4 of 4 trainings done,")
    assert sheet_of(path, setup=planned).setup.setup == planned
    assert "ours: 1 epoch; no preset" in words.setup_words(sheet)
    mnist(tmp_path, {})
    assert sheet_of(path).key == "data-digits"
    assert sheet_of(path, table="1").count("done") == 0


@pytest.mark.parametrize("scores", [{}, {"vae": (20.0, 22.0)}], ids=["nothing", "something"])
def test_where_nothing_has_run_no_empty_figure_is_drawn(
    tmp_path: Path, scores: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits(tmp_path / "sweeps" / "tiny", scores=scores)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    page = ResultsPage(RunLibrary([tmp_path / "runs"]), FirstStart(tmp_path), None, "")
    page.loaded()
    for _ in range(400):
        if page.figure.content.get("alt"):
            break
        time.sleep(0.02)
    assert page.figure.visible
    assert page.figure.content["visible"] == bool(scores)
    assert page.figure.content["message"] == ("" if scores else words.NOTHING_YET)


def test_times_have_no_marks_and_ours_come_from_a_stored_bench(tmp_path: Path) -> None:
    content = rows.table_content(sheet_of(None, table="5"))
    titles = ["Method", "Data", "d", "Paper (ms)", "Paper ÷ its VAE", "Ours (ms)", "Ours ÷ our VAE"]
    assert [column.title for column in content.columns] == titles
    assert {cell.mark for row in content.rows for cell in row.cells} == {"", "soft"}
    assert [cell.text for cell in content.rows[0].cells[3:]] == ["3.6", "1.0", "–", "–"]
    assert [call.command for call in content.calls] == ["gpvae bench inference --json > sweeps/inference.json"]
    found = [{"case": case, "metric": "time per batch of 128", "value": ms} for case, ms in (("vae", 2.0), ("gp", 5.0))]
    found.append({"case": "gp", "metric": "moments per batch of 128", "value": 1.0})
    stored = tmp_path / "inference.json"
    stored.write_text(json.dumps({"machine": {"device": "cpu", "threads": 2}, "rows": found}), encoding="utf-8")
    assert ResultFiles([tmp_path]).bench() == stored
    sheet = make_sheet(replace(read(None), times=bench_times(stored)), SheetChoice(table="5", methods=("gp",)))
    texts = {row.cells[1].text: [cell.text for cell in row.cells[3:]] for row in rows.table_content(sheet).rows}
    assert texts["MNIST"] == ["9.9", "2.8", "5.00", "2.5"]
    assert texts["SVHN"][2:] == ["–", "–"]
    assert "Ours: cpu, 2 threads." in words.explanation(sheet)
    stored.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="is not what `gpvae bench inference --json` prints"):
        bench_times(stored)


def test_failures_are_counted_and_explained(tmp_path: Path) -> None:
    sweep, jobs = mnist(tmp_path)
    with open_store(tmp_path) as store:
        store.fail(next(job.key for job in jobs if job.config.method == "vae" and job.split == 2), "out of memory")
    sheet = sheet_of(tmp_path / "results.sqlite", methods=("vae",), dims=(10,))
    content = rows.table_content(sheet)
    (row,) = content.rows
    entries = dict(zip((column.key for column in content.columns), row.cells, strict=True))
    assert entries["missing"].text == "8 of 10, 1 failed"
    assert "1 failed" in words.progress(sheet)
    assert words.progress(sheet).endswith("out of memory")
    assert sweep.setup_key() == sheet.setup.setup


def shown_rows(table: ResultsTable) -> list[tuple[str, str]]:
    """Classes and method of each row."""
    found = re.findall(r'<tr class="([^"]*)">.*?<th scope="row"[^>]*>([^<]*)<', table.body, re.DOTALL)
    return [(look.strip(), name) for look, name in found]


def test_sorting_goes_round_and_what_changes_is_fresh() -> None:
    heads = (Heading("method", "Method", "", False), Heading("n", "n", ""))
    known: dict[str, float | None] = {"IAF(16)": 2.0, "IAF(4)": None, "<VAE>": 3.0}

    def content(known: Mapping[str, float | None]) -> TableContent:
        lines = [TableLine(name, (Item(name, name), Item(str(n), n)), name[:3]) for name, n in known.items()]
        return TableContent(columns=heads, rows=tuple(lines), scope="file")

    table = ResultsTable(lambda kind: None)
    table.show(content(known))
    plain = [("", "IAF(16)"), ("", "IAF(4)"), ("group", "&lt;VAE&gt;")]
    assert shown_rows(table) == plain
    orders = {
        "n": [["&lt;VAE&gt;", "IAF(16)", "IAF(4)"], ["IAF(16)", "&lt;VAE&gt;", "IAF(4)"]],
        "method": [["&lt;VAE&gt;", "IAF(4)", "IAF(16)"], ["IAF(16)", "IAF(4)", "&lt;VAE&gt;"]],
    }
    for key, both in orders.items():
        for order in both:
            table._handle_msg({"sort": key})
            assert shown_rows(table) == [("", name) for name in order]
        table._handle_msg({"sort": key})
        assert shown_rows(table) == plain
    table._handle_msg({"sort": "n"})
    table.show(content({**known, "IAF(4)": 9.0}))
    assert shown_rows(table) == [("fresh", "IAF(4)"), ("", "&lt;VAE&gt;"), ("", "IAF(16)")]
    table.show(replace(content(known), scope="another file"))
    assert "fresh" not in table.body


def test_the_words_of_numbers() -> None:
    assert [words.p_words(p) for p in (0.0004, 0.0123, 0.456)] == ["< 0.001", "0.012", "0.46"]
    assert words.number(-1.25, sign=True) == "−1.2"
    assert words.number(5.0, sign=True) == "+5.0"


def test_an_address_sets_what_is_right_and_says_what_is_wrong() -> None:
    state = ResultsState()
    complaints = state.read({"table": ["2"], "d": ["10,50"], "runs": ["many"], "methods": ["vae,iaf:4"]})
    assert (state.table, dims_of(state.dims), listed(state.methods, ",")) == ("2", (10, 50), ("vae", "iaf:4"))
    assert complaints == ["runs: wanted a whole number from 1 to 1000, got 'many'"]
    assert state.read({"d": ["x"]}) == ["d: wanted latent dimensions such as 10,50, got 'x'"]
    assert dims_of(state.dims) == (10, 50)
