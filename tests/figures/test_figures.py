"""Figures from runs on disk: what they draw, and what they say where a run lacks something."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.api import train
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.data.moving_ball import true_length_scale
from gpvae_core.evaluation.batch_bias import batch_bias
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.figures.base import FIGURES
from gpvae_core.figures.batch_bias import BATCHES, INSTANCES
from gpvae_core.figures.mse_time import against_time
from gpvae_core.figures.runs import RunOnDisk, grouped, runs_at, spread
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.plots.spread_curves import Level, SpreadCurve, SpreadPanel, SpreadView
from gpvae_core.plots.spread_curves import figure as spread_figure
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import silent
from gpvae_core.runs import load_run
from gpvae_core.stats import seeded_order
from tests.commands import gpvae
from tests.series_table import BY_SERIES, SMALL, write_series

SETTINGS = {**SMALL, "train.epochs": 3, "latent_dim": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: svgp at two m, one of them with two seeds, gp-vae, cvae, and a plain VAE beside it."""
    root = tmp_path_factory.mktemp("runs")
    name = write_series(root)
    for method, seed in (("svgp:2", 0), ("svgp:2", 1), ("svgp:4", 0), ("gp-vae", 0)):
        settings = {**SETTINGS, **BY_SERIES, "seed": seed}
        train(method, name, settings=settings, out=root / "all" / f"{method}-{seed}", device="cpu", progress=silent)
    for method in ("cvae", "vae"):
        train(method, name, settings=SETTINGS, out=root / method, device="cpu", progress=silent)
    train("cvae", "moving-ball:2", settings=SETTINGS, out=root / "other", device="cpu", progress=silent)
    return root


@pytest.fixture(scope="module")
def ungrouped(folder: Path) -> Path:
    """A folder of svgp runs with one function of all images: two m, and two batch sizes."""
    root = folder / "ungrouped"
    for points, size in ((2, 8), (4, 8), (2, 16)):
        settings = {**SETTINGS, **BY_SERIES, "prior.group": "", "train.batch_size": size}
        out = root / f"svgp:{points}-{size}"
        train(
            f"svgp:{points}",
            f"table:{folder / 'series.npz'}",
            settings=settings,
            out=out,
            device="cpu",
            progress=silent,
        )
    return root


def draw(name: str, *places: Path, theme: Any = LIGHT) -> Any:
    return FIGURES.get(name)().draw(runs_at(places), theme, silent)


def named(figure: Any, beginning: str) -> Any:
    """The trace whose name in the legend begins so."""
    (found,) = [trace for trace in figure.data if (trace.name or "").startswith(beginning)]
    return found


def path_rmse(run: Path) -> float:
    found = evaluate_conditional(load_run(run), k=1).path_rmse
    assert found is not None
    return found


def test_the_error_of_paths_stands_against_m_with_the_spread_over_seeds(folder: Path) -> None:
    figure = draw("rmse-points", folder / "all")
    curve, level = named(figure, "svgp"), named(figure, "gp-vae")
    seeds = [path_rmse(folder / "all" / f"svgp:2-{seed}") for seed in (0, 1)]
    assert list(curve.x) == [2, 4]
    np.testing.assert_allclose(curve.y, [float(np.mean(seeds)), path_rmse(folder / "all" / "svgp:4-0")])
    np.testing.assert_allclose(curve.error_y.array, [float(np.std(seeds, ddof=1)), 0.0])
    np.testing.assert_allclose(level.y, path_rmse(folder / "all" / "gp-vae-0"))
    assert "m" in figure.layout.xaxis.title.text
    assert "RMSE" in figure.layout.yaxis.title.text


def test_the_length_scale_is_that_of_the_metrics(folder: Path) -> None:
    figure = draw("length-scale", folder / "all", theme=DARK)
    seeds = [load_run(folder / "all" / f"svgp:2-{seed}").metrics for seed in (0, 1)]
    scales: Any = [[row["kernel.rbf(time).length_scale"] for row in rows] for rows in seeds]  # pyright: ignore[reportGeneralTypeIssues]
    curve = named(figure, "svgp:2")
    assert list(curve.x) == [1, 2, 3]
    np.testing.assert_allclose(curve.y, np.mean(scales, 0))
    np.testing.assert_allclose(curve.customdata, np.std(scales, 0, ddof=1))
    assert "(s)" in figure.layout.yaxis.title.text
    assert {trace.name for trace in figure.data if trace.showlegend is not False} == {
        "svgp:2 (2 runs)",
        "svgp:4 (1 run)",
        "gp-vae (1 run)",
    }


def test_a_run_of_one_epoch_is_a_mark_between_axes_that_show_it(folder: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, **BY_SERIES, "train.epochs": 1}
    name = f"table:{folder / 'series.npz'}"
    train("svgp:2", name, settings=settings, out=tmp_path / "run", device="cpu", progress=silent)
    figure = draw("length-scale", tmp_path / "run")
    (mark,) = figure.data
    assert "markers" in mark.mode
    assert (list(mark.x), list(figure.layout.xaxis.tickvals)) == ([1], [1])
    assert list(figure.layout.xaxis.range) == [0.5, 1.5]
    for name in ("mse-time", "mse-total-time", "rmse-points"):
        figure = draw(name, tmp_path / "run")
        (mark,) = figure.data
        for values, axis in ((mark.x, figure.layout.xaxis), (mark.y, figure.layout.yaxis)):
            assert list(axis.range) == pytest.approx([0.5 * values[0], 1.5 * values[0]])
            assert list(axis.tickvals) == pytest.approx(list(values))
    several = draw("mse-time", folder / "all").layout
    assert (several.xaxis.range, several.yaxis.range) == (None, None)


def test_the_line_of_a_level_reaches_across_one_epoch() -> None:
    panel = SpreadPanel([SpreadCurve("svgp:2", [1], [1.2], [0.0], [1])], [Level("true", 2.0)], "l")
    drawn: Any = spread_figure(SpreadView([panel], "epoch", "", band=True), LIGHT)
    level, mark = drawn.data
    assert list(level.x) == [0.5, 1.5]
    assert list(level.y) == [2.0, 2.0]
    assert list(mark.x) == [1]


def test_inducing_points_are_those_of_the_kept_weights(folder: Path) -> None:
    figure = draw("inducing-points", folder / "all" / "svgp:2-0", folder / "all" / "svgp:4-0")
    points = [trace for trace in figure.data if trace.name]
    assert len(points) == 2 + 4
    for epoch in (1, 2, 3):
        model = load_run(folder / "all" / "svgp:4-0", epoch=epoch).model.extra
        assert isinstance(model, GPModel)
        expected = model.family.state_dict()["inducing.inputs"][:, 0].numpy()
        drawn = [trace.y[epoch - 1] for trace in points if trace.xaxis == "x2"]
        np.testing.assert_allclose(sorted(drawn), sorted(expected))
    assert figure.layout.yaxis.title.text == "inducing points, time (s)"
    assert [note.text for note in figure.layout.annotations] == ["svgp:2", "svgp:4"]
    seeds = draw("inducing-points", *(folder / "all" / f"svgp:2-{seed}" for seed in (1, 0)))
    assert [note.text for note in seeds.layout.annotations] == ["svgp:2, seed 1", "svgp:2, seed 0"]


def test_the_error_of_predictions_stands_against_the_time(folder: Path) -> None:
    for name, of_run in (("mse-time", 3), ("mse-total-time", 1)):
        figure = draw(name, folder / "all", folder / "cvae")
        curve = named(figure, "svgp")
        run = load_run(folder / "all" / "svgp:4-0")
        (place,) = [k for k, text in enumerate(curve.text) if text == "m = 4"]
        assert curve.x[place] == pytest.approx(run.metrics[-1]["seconds"] / of_run)
        assert curve.y[place] == pytest.approx(evaluate_conditional(run, k=1).mse.mean)
        assert named(figure, "cvae").x[0] > 0


def test_runs_are_grouped_by_their_settings_but_the_seed(folder: Path) -> None:
    runs = runs_at([folder / "all", folder / "all" / "svgp:2-0", folder / "cvae"])
    groups = {group.name: len(group.runs) for group in grouped(runs)}
    # Beside a run without series, those with some are said to be given images of their own.
    own = ", given its own series"
    assert groups == {f"svgp:2{own}": 2, f"svgp:4{own}": 1, f"gp-vae{own}": 1, "cvae": 1}
    assert {group.name for group in grouped(runs_at([folder / "all"]))} == {"svgp:2", "svgp:4", "gp-vae"}
    assert [len(group.runs) for group in grouped(runs[1:], but=("inference.points",))] == [1, 3]
    assert (spread([1.0]).sd, spread([1.0, 3.0]).mean) == (0.0, 2.0)


def test_groups_of_one_method_are_named_by_what_differs(folder: Path, tmp_path: Path) -> None:
    name = load_run(folder / "cvae").config.data.name
    train("cvae", name, settings={**SETTINGS, "net.hidden": 5}, out=tmp_path / "wide", device="cpu", progress=silent)
    names = ["cvae, hidden 4", "cvae, hidden 5"]
    assert [group.name for group in grouped(runs_at([folder / "cvae", tmp_path / "wide"]))] == names
    drawn = draw("mse-time", folder / "cvae", tmp_path / "wide")
    assert [(trace.name, len(trace.x)) for trace in drawn.data] == [(f"{name} (1 run)", 1) for name in names]


def test_runs_on_more_data_of_a_source_are_joined_and_named(tmp_path: Path) -> None:
    shape, names = (1, 32, 32), ("moving-ball:2", "moving-ball:3")
    configs = [make_config("svgp:4", DataConfig(name=name), shape) for name in names]
    runs = [RunOnDisk(tmp_path / str(k), config, "") for k, config in enumerate(configs)]
    seconds, errors = {runs[0].path: 2.0, runs[1].path: 3.0}, {runs[0].path: 0.5, runs[1].path: 0.4}
    (curve,) = against_time(runs, errors, seconds)
    assert (curve.name, list(curve.x), list(curve.y)) == ("svgp, m = 4", [2.0, 3.0], [0.5, 0.4])
    assert list(curve.labels) == list(names)
    drawn: Any = spread_figure(SpreadView([SpreadPanel([curve], [], "error")], "seconds", ""), LIGHT)
    assert list(drawn.data[0].textposition) == ["top right", "bottom left"], "on the right the last one would be cut"
    (one,) = against_time(runs[:1], errors, seconds)
    assert (one.name, list(one.labels)) == ("svgp, m = 4", [])
    wide = RunOnDisk(tmp_path / "wide", make_config("svgp:8", DataConfig(name=names[1]), shape), "")
    (both,) = against_time([*runs, wide], {**errors, wide.path: 0.3}, {**seconds, wide.path: 4.0})
    assert (both.name, list(both.labels)) == (
        "svgp",
        [f"m = {m}, {name}" for m, name in zip((4, 4, 8), (*names, names[1]), strict=True)],
    )


def test_errors_of_images_stand_against_m_and_against_the_batch_size(ungrouped: Path) -> None:
    def error(name: str) -> float | None:
        return evaluate_conditional(load_run(ungrouped / name), k=1).mse.mean

    curve = named(draw("mse-points", ungrouped / "svgp:2-8", ungrouped / "svgp:4-8"), "svgp")
    assert list(curve.x) == [2, 4]
    np.testing.assert_allclose(curve.y, [error("svgp:2-8"), error("svgp:4-8")])  # pyright: ignore
    figure = draw("mse-batch-size", ungrouped / "svgp:2-8", ungrouped / "svgp:2-16")
    curve = named(figure, "svgp:2")
    assert list(curve.x) == [8, 16]
    np.testing.assert_allclose(curve.y, [error("svgp:2-8"), error("svgp:2-16")])  # pyright: ignore
    assert "batch" in figure.layout.xaxis.title.text


def test_the_movement_with_batches_is_that_of_the_kept_epochs(ungrouped: Path) -> None:
    curve = named(draw("batch-bias", ungrouped / "svgp:2-8"), "svgp:2")
    assert list(curve.x) == [1, 2, 3]
    last = load_run(ungrouped / "svgp:2-8", epoch=3)
    index = seeded_order(len(last.data.train), 0)[:INSTANCES]
    assert curve.y[2] == pytest.approx(batch_bias(last, index, batches=BATCHES).kl.mean())
    assert curve.y[2] > 0


def test_the_true_length_scale_is_that_of_any_number_of_videos() -> None:
    assert [true_length_scale(name) for name in ("moving-ball", "moving-ball:2", "digits")] == [2.0, 2.0, None]


def test_the_command_writes_a_page_that_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    code, out, error = gpvae("figure", "rmse-points", folder / "all", "--out", "f.html", cwd=tmp_path)
    assert code == 0, error
    assert "of 4 runs" in out
    assert "left out" not in error
    code, out, error = gpvae("figure", "inducing-points", folder / "all", "--out", "g.html", cwd=tmp_path)
    assert code == 0, error
    assert "of 3 runs" in out
    assert "left out: run 'gp-vae-0' has no inducing points: wanted a method such as svgp:15" in error
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "<link" not in page
    assert len(page) > 1_000_000
    code, out, _ = gpvae("list", "figures", cwd=tmp_path)
    assert code == 0
    assert set(FIGURES.summaries()) == {line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")}


def test_the_command_writes_the_numbers_of_a_figure(folder: Path, tmp_path: Path) -> None:
    code, out, error = gpvae("figure", "rmse-points", folder / "all", "--out", "f.csv", cwd=tmp_path)
    assert code == 0, error
    assert "f.csv: numbers of figure 'rmse-points' of 4 runs" in out
    rows = list(csv.DictReader((tmp_path / "f.csv").read_text().splitlines()))
    two = next(row for row in rows if row["number of inducing points m"] == "2")
    expected = [path_rmse(folder / "all" / name) for name in ("svgp:2-0", "svgp:2-1")]
    assert float(two["mean"]) == pytest.approx(np.mean(expected))
    assert float(two["sd"]) == pytest.approx(np.std(expected, ddof=1))
    assert (two["what"], two["curve"], two["runs"]) == ("RMSE of the path (units of the known path)", "svgp", "2")
    code, out, error = gpvae("figure", "inducing-points", folder / "all" / "svgp:2-0", "--out", "p.csv", cwd=tmp_path)
    assert code == 0, error
    positions = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    kept = len(load_run(folder / "all" / "svgp:2-0").kept_epochs)
    assert [row["point"] for row in positions] == ["1", "2"] * kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rmse-point", "all"), "did you mean 'rmse-points'"),
        (("rmse-points", "nothing"), "there is no run 'nothing'"),
        (("rmse-points", "cvae/best"), "has no run with a finished epoch"),
        (("rmse-points", "all/gp-vae-0"), "no run has inducing points"),
        (("rmse-points", "cvae"), "has no known path: wanted a vector column and groups"),
        (("length-scale", "cvae"), "has no learned length scale"),
        (("inducing-points", "all/gp-vae-0"), "has no inducing points"),
        (("mse-time", "cvae", "other"), "wanted runs on one data set, got runs on moving-ball and table:"),
        (("mse-time", "vae"), "images are independent"),
        (("mse-batch-size", "vae"), "images are independent"),
        (("batch-bias", "all"), "the bias of mini-batches is that of method 'svgp' without groups"),
        (("mse-time", "cvae", "--theme", "lihgt"), "did you mean 'light'"),
        (("mse-time", "cvae", "--out", "missing/f.html"), "missing"),
        (("mse-time", "cvae", "--out", "f.csv", "--theme", "dark"), "--theme has no effect on 'f.csv'"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    out = () if "--out" in arguments else ("--out", "f.html")
    code, _, error = gpvae("figure", *arguments, *out, cwd=folder)
    assert code == 2, error
    assert message in error
    assert len(error.strip().splitlines()) == 1
