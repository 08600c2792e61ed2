"""The comparison's table from made-up results: restarts, draws, paired tests, and what the paper says."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

from gpvae_core.errors import UserError
from gpvae_core.sweep.config import parse_sweep
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.results import MEASURED
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.mapa import Comparison, comparison
from gpvae_core.tables.mapa_claims import verdicts
from gpvae_core.tables.mapa_text import kl_rows, to_markdown, verdict_rows

SWEEP: dict[str, Any] = {
    "name": "made-up",
    "datasets": ["figure-8", "clusters"],
    "methods": ["vae", "iwae:10", "iwae:50"],
    "latent_dims": [1],
    "splits": [0, 1, 2],
    "restarts": [0, 1],
    "epochs": 2,
}
NOISE = (0.0, 0.02, -0.01)
"""Noise of each draw, shared by all methods, so that it cancels in a paired test."""


def measured(test_kl: float | None, validation: float | None, **more: Any) -> dict[str, Any]:
    known = {"validation_elbo": 0.0, "test_iwae": 0.0, "epochs": 2, "train_seconds": 4.0, "score_seconds": 1.0}
    return dict.fromkeys(MEASURED) | known | {"test_kl": test_kl, "validation_log_px": validation} | more


def fill(out: Path, sweep: dict[str, Any] = SWEEP, but: tuple[str, ...] = ()) -> list[Job]:
    """IWAE is better than VAE the more samples it has; the second restart is better by validation, not by test."""
    parsed = parse_sweep(sweep)
    jobs = plan(parsed)
    level = {"vae": 0.3, "iwae:10": 0.2, "iwae:50": 0.1}
    with open_store(out) as store:
        store.register(parsed, jobs)
        for job in jobs:
            kl = level[job.config.method] + NOISE[job.split] + 0.05 * job.restart
            if job.config.method not in but:
                passes = {"decoder_passes": float(job.config.train.samples), "encoder_passes": 1.0}
                store.finish(job.key, measured(kl, float(job.restart), **passes))
    return jobs


@pytest.fixture
def actual(tmp_path: Path) -> Comparison:
    fill(tmp_path)
    return comparison(tmp_path)


def test_a_draws_kl_is_that_of_the_restart_best_by_validation(actual: Comparison) -> None:
    entry = actual.entry("figure-8", "iwae:10")
    assert entry is not None
    assert entry.kl == pytest.approx([0.25, 0.27, 0.24])
    assert entry.mean == pytest.approx(sum(entry.kl) / 3)
    spread = math.sqrt(sum((value - sum(entry.kl) / 3) ** 2 for value in entry.kl) / 2)
    assert entry.se == pytest.approx(spread / math.sqrt(3))
    assert (entry.draws, entry.restarts, entry.missing, entry.samples) == ((0, 1, 2), 2, 0, 10)
    assert (entry.decoder_passes, entry.encoder_passes, entry.train_seconds) == (10.0, 1.0, 4.0)


def test_sets_stand_as_in_the_paper_and_methods_by_s(actual: Comparison) -> None:
    assert actual.datasets == ("clusters", "figure-8")
    assert actual.methods == ("vae", "iwae:10", "iwae:50")
    assert [row["method"] for row in kl_rows(actual)] == list(actual.methods)
    assert "*" in kl_rows(actual)[2]["figure-8"]
    assert "*" not in kl_rows(actual)[0]["figure-8"]
    assert kl_rows(actual)[1]["decoder passes"] == "10.0"


def renamed(actual: Comparison, names: dict[str, str]) -> Comparison:
    """The same figures under other methods' names."""

    entries = tuple(dataclasses.replace(one, method=names.get(one.method, one.method)) for one in actual.entries)
    methods = tuple(names.get(method, method) for method in actual.methods)
    return dataclasses.replace(actual, methods=methods, entries=entries, verdicts=verdicts(entries))


def test_claims_are_tested_draw_by_draw(actual: Comparison) -> None:
    """'mapa:10' stands 0.1 below 'iwae:10' on every draw."""
    other = renamed(actual, {"iwae:50": "mapa:10"})
    of = {(one.claim, one.dataset): one for one in other.verdicts}
    below = of["MAPA below IWAE", "figure-8"]
    assert (below.method, below.rival, below.n) == ("mapa:10", "iwae:10", 3)
    assert below.difference == pytest.approx(-0.1)
    assert below.holds == "yes"
    assert of["MAPA below VAE", "figure-8"].rival == "vae"
    less = of["MAPA less accurate than IWAE", "clusters"]
    assert (less.holds, ("MAPA below IWAE", "clusters") in of) == ("no", False)
    swapped = renamed(actual, {"iwae:50": "iwae:10", "iwae:10": "mapa:10"})
    assert {one.holds for one in swapped.verdicts if one.claim == "MAPA below IWAE"} == {"no"}


def test_the_p_value_is_the_paired_t_tests(actual: Comparison) -> None:
    noisy = [0.1, 0.3, 0.15]
    entries = [
        dataclasses.replace(one, method="mapa:10", kl=tuple(noisy)) if one.method == "iwae:50" else one
        for one in actual.entries
    ]

    (one,) = [v for v in verdicts(entries) if (v.claim, v.dataset) == ("MAPA below IWAE", "figure-8")]
    theirs = actual.entry("figure-8", "iwae:10")
    assert theirs is not None
    assert one.p == pytest.approx(ttest_rel(noisy, theirs.kl)[1])
    assert one.holds == "unsure"


def as_good(actual: Comparison, theirs: list[float]) -> str:
    """The verdict on MAPA-GT with these KLs, where MAPA's are those of 'iwae:10'."""
    entries = [
        dataclasses.replace(one, method="mapa-gt:10", kl=tuple(theirs)) if one.method == "iwae:50" else one
        for one in renamed(actual, {"iwae:10": "mapa:10"}).entries
    ]
    return next(v for v in verdicts(entries) if (v.claim, v.dataset) == ("MAPA-GT like MAPA", "figure-8")).holds


def test_as_good_needs_an_interval_below_the_margin(actual: Comparison) -> None:
    base = actual.entry("figure-8", "iwae:10")
    assert base is not None
    assert as_good(actual, [kl + 0.015 for kl in base.kl]) == "yes"
    assert as_good(actual, [kl - 0.1 for kl in base.kl]) == "yes"
    assert as_good(actual, [kl + 0.1 for kl in base.kl]) == "no"
    noisy = [kl + distance for kl, distance in zip(base.kl, (0.5, -0.5, 0.01), strict=True)]
    assert as_good(actual, noisy) == "unsure"


def test_one_draw_decides_nothing(tmp_path: Path) -> None:
    fill(tmp_path, {**SWEEP, "splits": [0]})
    other = renamed(comparison(tmp_path), {"iwae:50": "mapa:10"})
    assert {one.p for one in other.verdicts} == {None}
    assert {one.holds for one in other.verdicts} == {"unsure"}
    assert "unsure (-0.200)" in verdict_rows(other)[0]["figure-8"]


def test_what_is_not_there_yet_is_said(tmp_path: Path) -> None:
    fill(tmp_path, but=("iwae:50",))
    assert kl_rows(comparison(tmp_path))[2]["figure-8"] == "(3 to do)"


def test_a_draw_that_is_missing_is_said_and_no_star_given(actual: Comparison) -> None:
    entries = tuple(
        dataclasses.replace(one, draws=one.draws[:1], kl=one.kl[:1], missing=2) if one.method == "vae" else one
        for one in actual.entries
    )
    rows = kl_rows(dataclasses.replace(actual, entries=entries))
    assert "(1 of 3 draws)" in rows[0]["figure-8"]
    assert not any("*" in row["figure-8"] for row in rows)


def test_markdown_and_json_hold_the_figures(actual: Comparison) -> None:
    text = to_markdown(renamed(actual, {"iwae:50": "mapa:10"}))
    assert "| mapa:10 |" in text
    assert "3 draws (best of 2 restarts" in text
    assert "| MAPA below IWAE | 10 |" in text
    assert json.loads(json.dumps(dataclasses.asdict(actual)))["entries"][0]["kl"]


def test_results_without_a_test_kl_are_refused(tmp_path: Path) -> None:
    parsed = parse_sweep({**SWEEP, "splits": [0], "restarts": [0]})
    with open_store(tmp_path) as store:
        store.register(parsed, plan(parsed))
    with pytest.raises(UserError, match="no test KL"):
        comparison(tmp_path)
    with pytest.raises(UserError, match="there are no results"):
        comparison(tmp_path / "nowhere")


def test_a_setup_is_chosen_by_its_name(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, {**SWEEP, "name": "longer", "epochs": 3})
    assert comparison(tmp_path, "made-up").content["epochs"] == 2
    assert comparison(tmp_path, "longer").content["epochs"] == 3
    assert (comparison(tmp_path).name, comparison(tmp_path).others) == ("longer", ("made-up",))


def test_the_setup_with_the_most_methods_comes_first(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, {**SWEEP, "name": "fewer", "methods": ["vae", "iwae:10"], "epochs": 3})
    assert (comparison(tmp_path).name, comparison(tmp_path).others) == ("made-up", ("fewer",))


def test_an_unknown_setup_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {**SWEEP, "name": "longer"})
    with pytest.raises(UserError, match="did you mean 'longer'"):
        comparison(tmp_path, "longr")
