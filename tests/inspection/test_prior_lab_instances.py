"""The measures of one series or image in the GP-Prior Lab: those of the evaluation, each computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.evaluation.batch_bias import batch_bias
from gpvae_core.evaluation.pseudo_gaps import pseudo_gaps
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.instances import can_be_measured, measured
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.inspection.prior_lab.turn import TurnLab
from gpvae_core.plots import instance_measures
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import Cancelled, silent
from gpvae_core.runs import load_run
from tests.dashboards.prior_runs import BY_ANGLE, BY_TIME, films, run_on, views
from tests.tidy import tidy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    of_films, of_views = films(folder / "f.npz"), views(folder / "v.npz")
    run_on(of_views, folder / "views", "svgp:8", BY_ANGLE | {"train.batch_size": 10})
    run_on(of_views, folder / "free", "hensman:8", BY_ANGLE)
    run_on(of_films, folder / "films", "gp-vae", BY_TIME)
    return folder


def lab(root: Path, name: str) -> PriorLab:
    return PriorLab(load_run(root / name, device="cpu"), name)


def test_the_gap_of_a_film_is_that_of_the_evaluation(root: Path) -> None:
    films = lab(root, "films")
    series = SeriesLab(films)
    code = series.code(2)
    found = measured(films, "test", code, series.name(2), silent)
    gaps = pseudo_gaps(films.run, films.run.data.test, np.array([code]), films.run.config.seed)
    assert (found.what, found.gap, found.gap_error) == ("film 8", gaps.gap[0], gaps.error[0])
    assert found.gap is not None
    assert found.gap > 0
    assert (found.own, found.kl, found.batches) == (None, None, 0)


def test_an_image_has_a_gap_and_moves_with_its_mini_batch(root: Path) -> None:
    of_views = lab(root, "views")
    turn = TurnLab(of_views)
    assert turn.training_view(1, 135.0) is None
    index = turn.training_view(1, 90.0)
    assert index is not None
    train = of_views.auxiliary("train")
    assert (train["object"][index], train["angle"][index]) == (1, 90.0)
    found, one, run = measured(of_views, "train", index, "it", silent), np.array([index]), of_views.run
    gaps, moved = pseudo_gaps(run, run.data.train, one, run.config.seed), batch_bias(run, one, seed=run.config.seed)
    assert (found.gap, found.own) == (gaps.gap[0], gaps.own[0] if gaps.own is not None else None)
    assert (found.kl, found.kl_spread) == (moved.kl[0], moved.kl_spread[0])
    assert (found.bias, found.bias_by_chance) == (moved.bias[0], moved.bias_by_chance[0])
    assert (found.batches, found.batch_size) == (20, 10)


def test_a_measure_is_computed_once_and_can_be_cancelled(root: Path) -> None:
    of_views = lab(root, "views")

    def cancel(done: int, total: int, what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        measured(of_views, "train", 3, "a", cancel)
    assert of_views.measured == {}
    first = measured(of_views, "train", 3, "a", silent)
    assert measured(of_views, "train", 3, "a", cancel) is first
    second = measured(of_views, "train", 4, "b", silent)
    assert list(of_views.measured.values()) == [first, second]
    rows = tidy(export.instances([first, second]))
    assert [(row["what"], row["gap"]) for row in rows] == [("a", first.gap), ("b", second.gap)]
    for theme in (LIGHT, DARK):
        drawn: Any = instance_measures.figure([first, second], theme)
        gaps, own, moved = drawn.data
        assert [list(trace.x) for trace in (gaps, moved)] == [[first.gap, second.gap], [first.kl, second.kl]]
        assert [trace.error_x.array[0] for trace in (gaps, moved)] == [first.gap_error, first.kl_spread]
        assert (list(own.x), own.xaxis) == ([first.own, second.own], gaps.xaxis)
        assert own.width < gaps.width
        assert "its own part" in drawn.layout.xaxis.title.text


def test_a_posterior_with_parameters_of_its_own_has_nothing_to_measure(root: Path) -> None:
    assert [can_be_measured(lab(root, name)) for name in ("free", "films", "views")] == [False, True, True]
