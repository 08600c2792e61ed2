"""Ours beside the paper: means, tests, marks, what is missing; and the same as CSV and LaTeX."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gpvae_core.errors import UserError
from gpvae_core.sweep.results import MEASURED, Cost, Result, best_restarts
from gpvae_core.tables.build import choose, table_setups, table_sweeps
from gpvae_core.tables.compare import BEHIND, BEST, CLOSE, Cell, compare, our_marks, paper_marks, welch_p
from gpvae_core.tables.export import times_to_csv, to_csv, to_latex
from gpvae_core.tables.paper import PaperTable, PaperValue, paper_table
from gpvae_core.tables.times import time_rows
from tests.tidy import tidy


def result(method: str, split: int, restart: int, validation: float, test: float, **more: Any) -> Result:
    """A job of Table 1 that is done, at d = 10."""
    fields: dict[str, Any] = dict.fromkeys(MEASURED)
    fields |= {"key": f"{method}-{split}-{restart}", "setup": "s", "dataset": "mnist", "method": method}
    fields |= {"latent_dim": 10, "decoder": "conv", "split": split, "restart": restart, "status": "done"}
    fields |= {"message": None, "folder": "", "epochs_wanted": 50, "k": 100, "cost_key": method, "started": None}
    return Result(**{**fields, "finished": None, "validation_elbo": validation, "test_iwae": test, **more})


VAE = [670.0, 672.0, 674.5]
GP = [690.0, 694.0, 692.5]
IAF = [691.0, 688.0, 693.0]


@pytest.fixture
def table() -> PaperTable:
    return paper_table(1)


@pytest.fixture
def rows() -> list[Result]:
    """Three runs of three methods; a second restart that is worse on validation has by far the best test score."""
    out = []
    for method, scores in (("vae", VAE), ("gp", GP), ("iaf:4", IAF)):
        for split, score in enumerate(scores):
            out.append(result(method, split, 0, validation=-1.0, test=score))
            out.append(result(method, split, 1, validation=-2.0, test=999.0))
    return out


def only(cells: Sequence[Cell], method: str, latent_dim: int = 10) -> Cell:
    return next(cell for cell in cells if cell.method == method and cell.latent_dim == latent_dim)


def test_means_deviations_and_runs_are_of_the_restarts_best_on_validation(
    table: PaperTable, rows: list[Result]
) -> None:
    cells = compare(table, rows, runs=3, restarts=2)
    gp = only(cells, "gp")
    assert (gp.mean, gp.runs, gp.missing) == (pytest.approx(np.mean(GP)), 3, 0)
    assert gp.sd == pytest.approx(np.std(GP, ddof=1))
    assert (gp.paper_mean, gp.paper_sd, gp.name, gp.unit) == (696.5, 1.5, "GPVAE", "nats")
    assert gp.missing_seconds == 0.0
    assert len(cells) == 66
    assert [cell.latent_dim for cell in cells] == [10] * 22 + [20] * 22 + [50] * 22


def test_a_score_of_zero_is_a_score(table: PaperTable) -> None:
    scores = [0.0, 1.0, -1.0]
    rows = [result("gp", split, 0, validation=0.0, test=score) for split, score in enumerate(scores)]
    cell = only(compare(table, rows, runs=3, restarts=1), "gp")
    assert (cell.mean, cell.sd, cell.runs) == (0.0, 1.0, 3)


def test_a_validation_score_of_zero_is_best_and_a_missing_one_is_not(table: PaperTable) -> None:
    worse, best = result("gp", 0, 0, validation=-3.0, test=1.0), result("gp", 0, 1, validation=0.0, test=2.0)
    unknown = dataclasses.replace(result("gp", 0, 2, validation=0.0, test=5.0), validation_elbo=None)
    assert best_restarts([worse, best, unknown]) == [best]
    assert best_restarts([worse, unknown]) == [worse], "a score that is missing is not read as 0"


def test_p_values_are_scipys_on_the_raw_scores(table: PaperTable, rows: list[Result]) -> None:
    cells = compare(table, rows, runs=3)
    gp, iaf, vae = (only(cells, method) for method in ("gp", "iaf:4", "vae"))
    assert (gp.p, gp.mark) == (None, BEST)
    assert iaf.p == pytest.approx(stats.ttest_ind(IAF, GP, equal_var=False)[1])
    assert vae.p == pytest.approx(stats.ttest_ind(VAE, GP, equal_var=False)[1])
    assert (iaf.mark, vae.mark) == (CLOSE, BEHIND)
    assert only(cells, "sa:1").mark is None


def test_welch_by_its_formula() -> None:
    """t and the Welch-Satterthwaite degrees of freedom by hand, the tail by quadrature of Student's density."""
    ma, sa, na, mb, sb, nb = 3.0, 1.0, 5, 1.0, 2.5, 8
    va, vb = sa**2 / na, sb**2 / nb
    t, nu = (ma - mb) / math.sqrt(va + vb), (va + vb) ** 2 / (va**2 / (na - 1) + vb**2 / (nb - 1))
    x = np.linspace(-abs(t), abs(t), 200_001)
    log_norm = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    density = np.exp(log_norm) * (1 + x**2 / nu) ** (-(nu + 1) / 2)
    assert welch_p(ma, sa, na, mb, sb, nb) == pytest.approx(1 - np.trapezoid(density, x), abs=1e-8)


def test_the_papers_marks_follow_from_its_figures() -> None:
    marks = paper_marks([PaperValue(699.4, 2.1), PaperValue(699.0, 1.0), PaperValue(685.1, 1.8), None], 10)
    assert [mark for _, mark in marks] == [BEST, CLOSE, BEHIND, None]
    assert marks[2][0] == pytest.approx(stats.ttest_ind_from_stats(685.1, 1.8, 10, 699.4, 2.1, 10, False).pvalue)
    assert paper_marks([PaperValue(1.0, None), PaperValue(2.0, None)], 10) == [(None, None), (None, BEST)]
    assert paper_marks([None], 10) == [(None, None)]


def test_tests_of_too_few_or_equal_scores() -> None:
    assert our_marks([[1.0], [2.0, 3.0], []]) == [(None, None), (None, BEST), (None, None)]
    assert our_marks([[1.0, 1.0], [2.0, 2.0]]) == [(0.0, BEHIND), (None, BEST)]
    assert our_marks([[2.0, 2.0], [2.0, 2.0]]) == [(None, BEST), (1.0, CLOSE)]
    assert our_marks([]) == []


def test_what_is_missing_and_how_long_it_takes(table: PaperTable, rows: list[Result]) -> None:
    half = [row for row in rows if (row.method, row.split, row.restart) != ("gp", 2, 1)]
    planned = [*half, result("gp", 2, 1, 0.0, 0.0, status="planned"), result("gp", 3, 0, 0.0, 0.0, status="failed")]
    cells = compare(table, planned, {"gp": Cost(2.0, 10.0)}, runs=10, restarts=2)
    gp = only(cells, "gp")
    assert (gp.runs, gp.wanted, gp.missing, gp.failed) == (2, 10, 8, 1)
    assert gp.missing_seconds == pytest.approx((8 * 2 - 1) * (50 * 2.0 + 10.0))
    vae = only(cells, "vae")
    assert (vae.missing, vae.missing_seconds) == (7, None), "its cost is not known"
    assert only(cells, "vae", 50).runs == 0


def test_a_choice_of_cells_is_marked_among_itself(table: PaperTable, rows: list[Result]) -> None:
    cells = compare(table, rows, dims=[10], methods=["vae", "iaf:4"])
    assert [(cell.method, cell.mark) for cell in cells] == [("vae", BEHIND), ("iaf:4", BEST)]
    assert only(cells, "vae").paper_mark == BEHIND, "the paper's mark is that of its whole column"


def test_decoders_are_told_apart() -> None:
    conv, fc = result("vae", 0, 0, -1.0, 680.0), result("vae", 0, 0, -1.0, 560.0, decoder="fc_equal")
    cells = compare(paper_table(10), [conv, fc], dims=[10], methods=["vae", "vlae:1"])
    actual = {(cell.dataset, cell.decoder, cell.method): cell.mean for cell in cells}
    assert actual == {
        ("mnist", "fc", "vae"): 560.0,
        ("mnist", "fc", "vlae:1"): None,
        ("mnist", "conv", "vae"): 680.0,
        ("omniglot", "fc", "vae"): None,
        ("omniglot", "fc", "vlae:1"): None,
        ("omniglot", "conv", "vae"): None,
    }


def test_csv_gives_every_field_back(table: PaperTable, rows: list[Result]) -> None:
    cells = compare(table, rows, dims=[10], methods=["vae", "gp", "sa:1"])
    back = tidy(to_csv(cells))
    assert [row["method"] for row in back] == ["vae", "sa:1", "gp"]
    assert back[2]["mean"] == pytest.approx(statistics.fmean(GP))
    assert (back[1]["mean"], back[1]["runs"]) == (None, 0)


def test_the_papers_times_are_one_line_each() -> None:
    rows = tidy(times_to_csv(paper_table(11), [50], ["gp", "vlae:1"]))
    wide = time_rows(paper_table(11), [50], ["gp", "vlae:1"])
    assert len(rows) == 2 * (len(wide[0]) - 1)
    for row in rows:
        (of_method,) = (line for line in wide if line["method"] == row["method"])
        assert row["paper_ms_per_batch"] == of_method[f"{row['dataset']} d={row['latent_dim']:.0f} {row['decoder']}"]


def test_latex_marks_the_best_and_what_is_close(table: PaperTable, rows: list[Result]) -> None:
    text = to_latex(table, compare(table, rows, dims=[10], methods=["vae", "gp", "iaf:4", "sa:1"]))
    assert r"GPVAE & $\mathbf{692.2}^{2.0}$ (696.5) \\" in text
    assert r"IAF$^{(4)}$ & $\underline{690.7}^{2.5}$ (685.0) \\" in text
    assert r"VAE & $672.2^{2.3}$ (685.1) \\" in text
    assert r"SA$^{(1)}$ & -- (688.1) \\" in text
    assert text.count("{") == text.count("}")


def test_the_sweeps_of_a_table() -> None:
    one = table_sweeps(paper_table(1))
    assert [(len(s.methods), s.latent_dims, len(s.splits), len(s.restarts)) for s in one] == [(22, (10, 20, 50), 10, 3)]
    assert (one[0].datasets, one[0].preset, one[0].evaluate.k) == (("mnist",), "kim2021", 100)
    fc, conv = table_sweeps(paper_table(10), dims=[10], methods=["vae", "vlae:4"], epochs=5, runs=2, restarts=1)
    assert (fc.set, fc.methods) == ({"net.kind": "fc_equal"}, ("vae", "vlae:4"))
    assert (conv.set, conv.methods) == ({}, ("vae",))
    assert conv.setup_key() == table_sweeps(paper_table(2), epochs=5)[0].setup_key(), "tables share their trainings"
    assert table_setups(paper_table(10), conv.setup()) == [fc.setup_key(), conv.setup_key()]


def test_a_method_that_the_paper_does_not_have_is_a_row_after_its_own(rows: list[Result]) -> None:
    table, names = paper_table(1), ["gp+iwae:5", "vae", "full", "iaf:3", "vlae:2"]
    (sweep,) = table_sweeps(table, [10], names, epochs=5)
    assert sweep.methods == ("vae", "gp+iwae:5", "full", "iaf:3", "vlae:2")
    ours = [
        dataclasses.replace(row, method=name, decoder=kind)
        for name, kind in (("full", "conv"), ("vlae:2", "fc_equal"))
        for row in rows
        if row.method == "gp"
    ]
    cells = compare(table, [*rows, *ours], dims=[10], methods=names)
    assert [cell.method for cell in cells] == ["vae", "gp+iwae:5", "full", "iaf:3", "vlae:2"]
    actual = {cell.method: cell for cell in cells}
    assert (actual["full"].paper_mean, actual["full"].paper_mark) == (None, None)
    assert actual["full"].mean == actual["vlae:2"].mean == pytest.approx(statistics.fmean(GP))
    assert (actual["full"].mark, actual["iaf:3"].runs, actual["iaf:3"].missing) == (BEST, 0, 10)
    assert [sweep.methods for sweep in table_sweeps(paper_table(10), [10], ["full"])] == [("full",), ("full",)]
    assert len(compare(paper_table(10), [], dims=[10], methods=["full"])) == 4
    with pytest.raises(UserError, match="Table 10 compares decoders, and method 'vlae:3'"):
        table_sweeps(paper_table(10), [10], ["vlae:3"])
    with pytest.raises(UserError, match="unknown method 'ful'; did you mean 'full'"):
        table_sweeps(table, [10], ["ful"])


def test_what_a_table_does_not_have() -> None:
    with pytest.raises(UserError, match="unknown method of Table 1 'pg'; did you mean 'gp'"):
        choose(paper_table(1), [], ["pg"])
    with pytest.raises(UserError, match=r"--dims of Table 10 \(10, 50\), got 20"):
        choose(paper_table(10), [20], [])
    with pytest.raises(UserError, match="Table 5 is of times"):
        table_sweeps(paper_table(5))
