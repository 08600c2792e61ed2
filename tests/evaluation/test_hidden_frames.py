"""The evaluation of frames that are hidden from the model: against the lab's views, and against formulas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.data.base import Dataset
from gpvae_core.data.split import joined
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import ConditionalEvaluation, evaluate_conditional
from gpvae_core.evaluation.hidden_frames import HIDDEN, hidden_in
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.runs import Run, load_run
from gpvae_core.stats import mean_se
from tests.commands import gpvae
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, DATA, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained("gp-vae", BY_TIME, tmp_path_factory.mktemp("runs") / "gp")


@pytest.mark.parametrize("hide", [key for key in HIDDEN if key != "none"])
def test_hidden_frames_are_scored_as_the_lab_shows_them(run: Run, hide: str) -> None:
    result = evaluate_conditional(run, k=2, hide=hide)
    series = SeriesLab(PriorLab(run))
    views = [series.view(position, hide) for position in range(len(series))]
    errors = [view.mse[~view.seen] for view in views]
    off = [(view.curves.mean[view.at_frames] - view.path)[~view.seen] for view in views if view.path is not None]
    assert (result.hidden, result.given) == (HIDDEN[hide], "the frames of the same series that are not hidden")
    assert result.mse.n == sum(map(len, errors)) > 0
    assert result.context == len(DATA.test) - result.mse.n
    assert result.mse.mean == pytest.approx(np.concatenate(errors).mean(), rel=1e-4)
    assert result.path_rmse == pytest.approx(np.sqrt(np.square(np.concatenate(off)).mean()), rel=1e-5)
    assert ConditionalEvaluation.from_json(json.loads(json.dumps(result.to_json()))) == result
    # Standard errors are those of groups, of all scores.
    groups = np.repeat(np.arange(len(errors)), [len(part) for part in errors])
    assert result.independent == f"{len(views)} values of 'series'"
    assert result.mse.se == pytest.approx(mean_se(np.concatenate(errors), groups)["se"], rel=1e-4)
    assert DATA.test.auxiliary is not None
    images = DATA.test.pixels().double().numpy()
    hidden = [series.frames_of(position)[~view.seen] for position, view in enumerate(views)]
    square = np.square(images - DATA.train.pixels().double().numpy().mean(0)).mean((1, 2, 3))[np.concatenate(hidden)]
    assert result.yardsticks.mean_image.se == pytest.approx(mean_se(square, groups)["se"], rel=1e-4)


def test_the_nearest_frame_is_one_of_the_same_series_that_is_given(run: Run) -> None:
    found = evaluate_conditional(run, k=1, hide="middle").yardsticks.nearest_view
    auxiliary, pixels = DATA.test.auxiliary, DATA.test.pixels().numpy()
    assert auxiliary is not None
    hidden = hidden_in(auxiliary, "series", "time", "middle")
    errors = []
    for i in np.flatnonzero(hidden):
        alike = (auxiliary["series"] == auxiliary["series"][i]) & ~hidden
        j = np.flatnonzero(alike)[np.abs(auxiliary["time"][alike] - auxiliary["time"][i]).argmin()]
        errors.append(np.square(pixels[i] - pixels[j]).mean())
    assert found is not None
    assert found.n == len(errors)
    series = SeriesLab(PriorLab(run))
    shown = [
        view.nearest[view.counted] for view in (series.view(i, "middle") for i in range(4)) if view.nearest is not None
    ]
    assert np.concatenate(shown).mean() == pytest.approx(found.mean)
    assert found.mean == pytest.approx(np.mean(errors), rel=1e-5)


def holed(frames: int) -> Dataset:
    """The data with the first frames of the test split missing."""
    observed = np.ones((len(DATA.test), 4, 4), np.bool_)
    observed[:frames] = False
    return replace(DATA, test=replace(DATA.test, observed=observed))


def test_missing_frames_are_neither_given_nor_scored_where_others_are_hidden(run: Run) -> None:
    data = holed(5)
    partly = load_run(run.dir, device="cpu")
    partly._data = data
    result = evaluate_conditional(partly, k=2, hide="middle")
    assert data.test.auxiliary is not None
    hidden = hidden_in(data.test.auxiliary, "series", "time", "middle")
    assert result.mse.n == np.count_nonzero(hidden[5:])
    assert (result.unscored, result.context) == (5, np.count_nonzero(~hidden[5:]))
    series = SeriesLab(PriorLab(partly))
    views = [series.view(position, "middle") for position in range(len(series))]
    errors = np.concatenate([view.mse[~view.seen & ~view.missing] for view in views])
    assert result.mse.mean == pytest.approx(errors.mean(), rel=1e-4)


def test_frames_of_groups_that_are_trained_on_are_not_hidden(run: Run) -> None:
    both = load_run(run.dir, device="cpu")
    some = np.arange(0, len(DATA.train) - 1, 2)
    train, test = DATA.train.take(some), joined([DATA.train.take(some + 1), DATA.test])
    both._data = replace(DATA, train=train, test=test)
    result = evaluate_conditional(both, k=2, hide="second")
    assert test.auxiliary is not None
    assert train.auxiliary is not None
    known = np.isin(test.auxiliary["series"], train.auxiliary["series"])
    hidden = hidden_in(test.auxiliary, "series", "time", "second")
    assert (hidden & known).any()
    assert result.mse.n == np.count_nonzero(hidden & ~known)
    mixed = evaluate_conditional(both, k=2)
    assert mixed.yardsticks.nearest_view is None, "new ones are among the images given"


def test_the_standard_error_of_groups_is_that_of_their_means() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 1)) + 0.1 * rng.standard_normal((40, 5))
    groups = np.repeat(np.arange(40), 5)
    found = mean_se(values.ravel(), groups)
    assert found["se"] == pytest.approx(values.mean(1).std(ddof=1) / np.sqrt(40))
    assert (found["se"] or 0) > 1.5 * (mean_se(values.ravel())["se"] or 0)
    alone = mean_se(values.ravel(), np.arange(200))
    assert alone["se"] == pytest.approx(values.std(ddof=1) / np.sqrt(200))
    assert mean_se([1.0, 2.0, 3.0], [0, 0, 0])["se"] is None
    holes = mean_se([np.nan, 1.0, 2.0, 6.0], [5, 5, 7, 7])
    # r = (-2, 3 + (-1)) about the mean 3, so that the error is sqrt(2 / 1 (4 + 4)) / 3.
    assert holes == {"mean": 3.0, "se": pytest.approx(4 / 3), "n": 3}


def test_groups_of_different_sizes_have_the_error_of_many_draws() -> None:
    rng, means, errors = np.random.default_rng(1), [], []
    for _ in range(400):
        sizes = rng.integers(1, 8, 30)
        values = np.repeat(rng.standard_normal(30), sizes) + rng.standard_normal(sizes.sum())
        found = mean_se(values, np.repeat(np.arange(30), sizes))
        means.append(found["mean"])
        errors.append(found["se"])
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.1)


def test_what_cannot_be_hidden_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'second'"):
        evaluate_conditional(run, hide="secnd")
    with pytest.raises(UserError, match="measures of instances have every frame given"):
        evaluate_conditional(run, hide="second", instances=2)
    turned = trained("svgp:4", BY_VIEW, tmp_path / "turned")
    with pytest.raises(UserError, match="has no series: wanted a prior with groups"):
        evaluate_conditional(turned, hide="second")


def test_the_command_hides_frames(tmp_path: Path) -> None:
    small = ("--set", "net.kind=fc", "--set", "net.hidden=8", "--epochs", "1", "--out", "run")
    assert gpvae("train", "--method", "svgp:4", "--dataset", "moving-ball:4", *small, cwd=tmp_path).returncode == 0
    hiding = ("evaluate", "run", "--k", "2", "--split", "validation", "--hide")
    done = gpvae(*hiding, "last", cwd=tmp_path)
    assert done.returncode == 0
    assert "mse of the nearest frame given" in done.stdout
    assert "the last third of each is hidden, and scored" in done.stdout
    assert "standard errors take 35 values of 'video' as independent" in done.stdout
    refused = gpvae(*hiding, "thirds", cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
