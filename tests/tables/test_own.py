"""Results that no table of the paper has, as a table of their own, and the command for what is missing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_ind
from typer.testing import CliRunner

from gpvae_core.cli.main import app
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.sweep.config import SweepConfig, parse_sweep, run_seed
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.results import Cost, Result, open_results
from gpvae_core.sweep.store import open_store
from gpvae_core.tables.build import table_sweeps
from gpvae_core.tables.command import is_table_setup, sweep_command, table_command
from gpvae_core.tables.compare import BEHIND, BEST
from gpvae_core.tables.export import to_latex
from gpvae_core.tables.own import OWN, cell_key, own_cells, own_keys, own_table, table_cells
from gpvae_core.tables.paper import paper_table


def result(dataset: str, method: str, d: int, split: int, iwae: float | None, **more: Any) -> Result:
    """A job that is done, or planned where there is no score."""
    fields: dict[str, Any] = dict.fromkeys(Result.__dataclass_fields__)
    fields |= {"key": f"{dataset}{method}{d}{split}", "setup": "s", "dataset": dataset, "method": method, "restart": 0}
    fields |= {
        "latent_dim": d,
        "decoder": "conv",
        "split": split,
        "epochs_wanted": 10,
        "cost_key": method,
        "folder": "",
    }
    fields |= {"status": "planned" if iwae is None else "done", "test_iwae": iwae, "validation_elbo": iwae}
    return Result(**(fields | more))


DIGITS = [
    *(result("digits", "gp", 2, split, score) for split, score in enumerate((30.0, 31.0, 32.5))),
    *(result("digits", "vae", 2, split, score) for split, score in enumerate((20.0, 21.0, 20.5))),
    result("digits", "newcomer", 2, 0, 25.0),
    result("digits", "vae", 5, 0, None),
]


def test_a_score_of_zero_is_a_score() -> None:
    rows = [result("digits", "vae", 2, split, score) for split, score in enumerate((0.0, 3.0))]
    (cell,) = own_cells(own_table("data-digits", rows), rows)
    assert (cell.mean, cell.runs) == (1.5, 2)


def test_what_the_paper_has_no_cell_for_is_found() -> None:
    mnist = [result("mnist", "vae", 10, 0, 680.0), result("mnist", "vae", 10, 0, 680.0, decoder="fc_equal")]
    assert own_keys(mnist) == {}
    assert own_keys([*mnist, result("mnist", "vae", 2, 0, 300.0)]) == {"data-mnist": "mnist"}
    assert own_keys([*mnist, result("mnist", "newcomer", 10, 0, 700.0)]) == {"data-mnist": "mnist"}
    assert own_keys([*mnist, *DIGITS]) == {"data-digits": "digits"}
    assert cell_key(mnist[0]) in table_cells(1)
    assert cell_key(mnist[1]) in table_cells(10)
    assert cell_key(mnist[1]) not in table_cells(1)
    assert table_cells(5) == frozenset()


def test_an_own_table_has_means_tests_and_what_is_missing() -> None:
    table = own_table("data-digits", DIGITS)
    assert (table.number, table.runs, table.restarts) == (OWN, 3, 1)
    cells = {(c.method, c.latent_dim): c for c in own_cells(table, DIGITS, {"vae": Cost(2.0, 5.0)})}
    assert [row.method for row in table.rows] == ["vae", "gp", "newcomer"]
    gp, vae = cells["gp", 2], cells["vae", 2]
    assert gp.mean == pytest.approx((30.0 + 31.0 + 32.5) / 3)
    assert gp.mark == BEST
    expected = ttest_ind([20.0, 21.0, 20.5], [30.0, 31.0, 32.5], equal_var=False)
    assert vae.p == pytest.approx(expected.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    assert vae.mark == BEHIND
    assert vae.paper_mean is None
    lone = cells["newcomer", 2]
    assert (lone.runs, lone.sd, lone.p, lone.missing, lone.missing_seconds) == (1, None, None, 2, None)
    planned = cells["vae", 5]
    assert (planned.mean, planned.missing, planned.missing_seconds) == (None, 3, 3 * (10 * 2.0 + 5.0))
    assert ("gp", 5) not in cells
    latex = to_latex(table, list(cells.values()))
    assert "$\\mathbf{31.2}^{1.3}$" in latex


def store(out: Path, sweep: SweepConfig, scores: Sequence[float]) -> None:
    """Results of a sweep of one method on MNIST at one d, one for each split."""
    method, d = sweep.methods[0], sweep.latent_dims[0]
    settings = {**sweep.overrides(method), "latent_dim": d, "train.epochs": sweep.epochs}
    first = make_config(method, DataConfig(name="mnist"), (1, 28, 28), settings, sweep.preset)
    measured = {"validation_elbo": 1.0, "test_iwae_se": 1.0, "test_elbo": 1.0, "test_elbo_se": 1.0, "test_images": 9}
    measured |= {"epochs": 5, "best_epoch": 5, "parameters": 7, "train_seconds": 50.0, "score_seconds": 3.0}
    measured |= {"device": "cpu", "note": None, "versions": {}}
    with open_store(out) as opened:
        for split, score in enumerate(scores):
            data = first.data.model_copy(update={"split_seed": split})
            job = Job(first.model_copy(update={"data": data, "seed": run_seed(split, 0)}), sweep.evaluate, split, 0)
            opened.register(sweep, [job])
            opened.finish(job.key, measured | {"test_iwae": score})


def test_the_command_goes_on_with_the_very_setup_it_was_made_from(tmp_path: Path) -> None:
    settings = {"net.hidden": 64, "likelihood.kind": "gaussian"}
    sweep = table_sweeps(paper_table(1), [10], ["vae"], epochs=5, runs=2, restarts=1, settings=settings)[0]
    store(tmp_path / "a folder", sweep, [600.0, 604.0])
    setup = open_results(tmp_path / "a folder").setups()[0]
    assert is_table_setup(setup.content)
    command = table_command(paper_table(1), [10], ["vae"], setup.content, 2, 1, tmp_path / "a folder")
    words = shlex.split(command)
    assert words[:3] == ["gpvae", "table", "1"]
    printed = CliRunner().invoke(app, [*words[1:], "--no-run", "--json"])
    assert printed.exit_code == 0, printed.output
    (cell,) = json.loads(printed.stdout)["cells"]
    assert (cell["mean"], cell["runs"], cell["missing"]) == (602.0, 2, 0)


def test_the_papers_own_setup_needs_no_options() -> None:
    table = paper_table(1)
    assert table_command(table, (), ()) == "gpvae table 1"
    assert table_command(table, (), (), None, table.runs, table.restarts) == "gpvae table 1"
    assert table_command(paper_table(5), [50], ["gp"]) == "gpvae bench inference"


def test_a_table_of_two_decoders_makes_their_settings_itself() -> None:
    for sweep in table_sweeps(paper_table(10), [10], ["vae"], epochs=5, settings={"net.hidden": 64}):
        command = table_command(paper_table(10), [10], ["vae"], sweep.setup())
        assert command == "gpvae table 10 --dims 10 --methods vae --epochs 5 --set net.hidden=64"


@pytest.mark.parametrize(
    "more", [{"method_settings": {"vae": {"train.lr": 1e-4}}}, {"evaluate": {"k": 5}}, {"preset": None}]
)
def test_what_gpvae_table_cannot_make_is_left_to_the_sweep(more: dict[str, object]) -> None:
    raw = {"name": "my sweep", "datasets": ["mnist"], "methods": ["vae"], "preset": "kim2021"}
    sweep = parse_sweep(raw | more)
    assert not is_table_setup(sweep.setup())
    assert sweep_command(sweep.name, Path("sweeps/a b")) == "gpvae sweep 'my sweep.toml' --out 'sweeps/a b'"
