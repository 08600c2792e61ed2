"""Runs compared on a page: the numbers are those of figures of runs; and the commands that train what is missing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.config import make_config, take_data_config
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.figures.base import spread_table
from gpvae_core.figures.commands import train_command
from gpvae_core.figures.compared import batch_size_view, compared_runs, points_view, time_view
from gpvae_core.inspection.prior_lab.opening import lab_of
from gpvae_core.plots.spread_curves import ON_CARD, ON_PAPER, figure
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import silent
from gpvae_core.runs import load_run
from tests.dashboards.prior_runs import BY_TIME, SMALL, films, run_on
from tests.tidy import tidy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    of_films = films(folder / "f.npz")
    run_on(of_films, folder / "m6", "svgp:6", BY_TIME)
    run_on(of_films, folder / "m3", "svgp:3", BY_TIME)
    run_on(of_films, folder / "m3-seed", "svgp:3", BY_TIME | {"seed": 1})
    run_on(of_films, folder / "m3-long", "svgp:3", BY_TIME | {"train.epochs": 4, "seed": 2})
    run_on(of_films, folder / "small", "svgp:3", BY_TIME | {"train.batch_size": 12})
    run_on(of_films, folder / "exact", "gp-vae", BY_TIME)
    return folder


def compared(root: Path, *names: str) -> Any:
    return compared_runs([lab_of(load_run(root / name, device="cpu"), name) for name in names], silent)


def evaluated(root: Path, name: str) -> Any:
    return evaluate_conditional(load_run(root / name, device="cpu"), k=2)


def curve(panel: Any, beginning: str) -> Any:
    (found,) = [curve for curve in panel.curves if curve.name.startswith(beginning)]
    return found


def test_errors_stand_against_time_as_in_the_figure_of_runs(root: Path) -> None:
    runs = compared(root, "m6", "m3", "m3-seed", "exact")
    for error, of in (("mse", lambda e: e.mse.mean), ("path", lambda e: e.path_rmse)):
        view = time_view(runs, error, "epoch")
        svgp = curve(view.panels[0], "svgp")
        assert sorted(svgp.of) == ["m3, m3-seed", "m6"]
        two = svgp.of.index("m3, m3-seed")
        values = [of(evaluated(root, name)) for name in ("m3", "m3-seed")]
        assert svgp.y[two] == pytest.approx(np.mean(values), rel=1e-3)
        assert svgp.sd[two] == pytest.approx(np.std(values, ddof=1), rel=1e-2, abs=1e-7)
        assert svgp.ringed[svgp.of.index("m6")]
        assert not svgp.ringed[two]
    seconds = load_run(root / "m6").metrics[-1]["seconds"]
    assert svgp.x[svgp.of.index("m6")] == pytest.approx(seconds / 3)
    whole = curve(time_view(runs, "mse", "total").panels[0], "svgp")
    assert whole.x[whole.of.index("m6")] == pytest.approx(seconds)


def test_paths_length_scales_and_times_stand_against_the_number_of_points(root: Path) -> None:
    view = points_view(compared(root, "m6", "m3", "m3-long", "exact"))
    assert view is not None
    error, scale, time = view.panels
    svgp = curve(error, "svgp")
    assert list(svgp.x) == [3, 6]
    assert svgp.y[1] == pytest.approx(evaluated(root, "m6").path_rmse, rel=1e-3)
    assert list(svgp.of) == ["m3, m3-long", "m6"], "the number of epochs may differ"
    assert [level.name for level in error.levels] == ["gp-vae (1 run)"]
    assert error.levels[0].value == pytest.approx(evaluated(root, "exact").path_rmse, rel=1e-3)
    kernel = evaluated(root, "m6").kernel
    assert kernel is not None
    assert curve(scale, "svgp").y[1] == pytest.approx(kernel["matern(time).length_scale"].value)
    assert scale.y == "length scale (s)"
    assert time.y == "seconds an epoch"
    assert points_view(compared(root, "m6", "exact")) is None
    assert len(tidy(spread_table(view))) == 2 + 1 + 2 + 2
    for theme, size in ((LIGHT, ON_CARD), (DARK, ON_PAPER)):
        drawn: Any = figure(view, theme, size)
        shown = [trace for trace in drawn.data if trace.name and trace.showlegend is not False]
        assert len(shown) == 2, "a curve in three panels is named once"
        assert [trace.y[1] for trace in drawn.data if trace.yaxis == "y2"] == [curve(scale, "svgp").y[1]]


def test_errors_stand_against_the_batch_size(root: Path) -> None:
    view = batch_size_view(compared(root, "m3", "small", "exact"))
    assert view is not None
    svgp = curve(view.panels[0], "svgp")
    assert list(svgp.x) == [12, 64]
    np.testing.assert_allclose(svgp.y, [evaluated(root, n).mse.mean for n in ("small", "m3")], rtol=1e-3)
    assert batch_size_view(compared(root, "m3", "m6")) is None


@pytest.mark.parametrize(
    ("method", "changes"),
    [("svgp:9", {}), ("", {"train.batch_size": 8}), ("", {"inference.points_start": "low", "train.keep_every": 2})],
)
def test_a_command_trains_a_run_like_the_one_shown(root: Path, method: str, changes: dict[str, Any]) -> None:
    run = load_run(root / "m6", device="cpu")
    data = run.config.data.model_copy(update={"split_seed": 3})
    like = SMALL | BY_TIME | {"train.lr_schedule": "cosine", "learn_vectors": False}
    config = make_config(run.config.method, data, run.model.event_shape, like)
    words = shlex.split(train_command(config, run.model.event_shape, root / "new", method, changes))
    assert words[:2] == ["gpvae", "train"]
    options = list(zip(words[2::2], words[3::2], strict=True))
    assert dict(options)["--out"] == str(root / "new")
    settings = dict(text.split("=", 1) for option, text in options if option == "--set")
    chosen: dict[str, Any] = dict(settings)
    made = make_config(dict(options)["--method"], take_data_config(data.name, chosen), run.model.event_shape, chosen)
    assert made == make_config(method or "svgp:6", data, run.model.event_shape, like | changes)
