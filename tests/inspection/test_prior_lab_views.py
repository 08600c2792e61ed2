"""The GP-Prior Lab's objects, pairs, maps and comparisons, each found in a second way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.data.moving_ball import true_length_scale
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.views import views_behind
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.first_runs import conditional_methods, planned, run_name, train_run
from gpvae_core.inspection.prior_lab.grid import GridLab
from gpvae_core.inspection.prior_lab.latent_map import latent_map
from gpvae_core.inspection.prior_lab.opening import lab_of
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.scores import run_score
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.inspection.prior_lab.turn import TurnLab
from gpvae_core.plots import frame_shares, prior_curves, prior_grid, prior_map, prior_view, video_film
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import silent
from gpvae_core.runs import load_run
from tests.dashboards.prior_runs import BY_ANGLE, BY_CONTEXT, BY_PAIR, BY_TIME, films, heroes, pairs, run_on, views
from tests.tidy import tidy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    of_films, of_views, of_pairs = films(folder / "f.npz"), views(folder / "v.npz"), pairs(folder / "p.npz")
    run_on(of_views, folder / "turn", "svgp:8", BY_ANGLE | {"latent_dim": 2})
    run_on(of_views, folder / "free", "hensman:8", BY_ANGLE)
    run_on(of_pairs, folder / "grid", "svgp:12", BY_PAIR)
    for m in (6, 3):
        run_on(of_films, folder / f"m{m}", f"svgp:{m}", BY_TIME)
    run_on(of_films, folder / "exact", "gp-vae", BY_TIME)
    return folder


def lab(root: Path, name: str) -> PriorLab:
    return PriorLab(load_run(root / name, device="cpu"), name)


def traces(figure: Any) -> list[Any]:
    return list(figure.data)


def pictures(figure: Any) -> list[Any]:
    return list(figure.layout.images)


def test_an_object_is_predicted_as_the_evaluation_does(root: Path) -> None:
    run = lab(root, "turn")
    turn, test = TurnLab(run), run.auxiliary("test")
    assert (len(turn), turn.what, turn.range) == (6, "object", (0.0, 360.0))
    for position in range(len(turn)):
        at = turn.first_place(position)
        assert at == 135.0
        view = turn.view(position, at)
        k = int(np.flatnonzero(test["object"] == position)[0])
        z = run.latents("test").mean[[k]].numpy()
        np.testing.assert_allclose(view.mean, run.decoded(z, {})[0], atol=1e-5)
        truth = run.run.data.test.pixels([k])[0].double().numpy()
        assert view.truth is not None
        assert (view.truth.split, view.truth.index) == ("test", k)
        assert view.mse == pytest.approx(np.square(truth - view.mean).mean())
    errors = [turn.view(position, 135.0).mse for position in range(len(turn))]
    assert np.mean(np.array(errors, float)) == pytest.approx(evaluate_conditional(run.run, k=2).mse.mean, rel=1e-4)


def test_the_views_behind_a_prediction_are_those_of_the_smoother(root: Path) -> None:
    run = lab(root, "turn")
    turn = TurnLab(run)
    found = views_behind(run.run, run.auxiliary("test").take(np.array([4])), top=10)[0]
    position = int(run.auxiliary("test")["object"][4])
    view = turn.view(position, 135.0)
    assert [shown.index for shown in view.behind.views] == found.index.tolist()
    np.testing.assert_allclose([shown.share or 0.0 for shown in view.behind.views], found.share, rtol=1e-6)
    assert view.behind.effective == pytest.approx(found.effective)
    assert view.behind.given == len(run.run.data.train)
    train = run.auxiliary("train")
    for shown in view.behind.views:
        assert shown.at == train["angle"][shown.index]
        assert shown.thing == f"thing {train['object'][shown.index]}"


def test_a_turn_ends_where_it_begins_and_places_without_an_image_have_no_error(root: Path) -> None:
    turn = TurnLab(lab(root, "turn"))
    first, last = turn.view(2, 0.0), turn.view(2, 360.0)
    np.testing.assert_allclose(first.mean, last.mean, atol=1e-6)
    assert first.truth is not None
    assert last.truth is not None
    assert first.truth.index == last.truth.index
    between = turn.view(2, 100.0)
    assert (between.truth, between.mse) == (None, None)
    assert turn.distance(np.array([350.0, 90.0]), 10.0).tolist() == [20.0, 80.0]
    np.testing.assert_allclose(turn.view(2, 45.0).curves.mean[0], turn.view(2, 45.0).curves.mean[-1], atol=1e-6)


def test_a_free_posterior_rests_on_no_views(root: Path) -> None:
    view = TurnLab(lab(root, "free")).view(3, 100.0)
    assert view.behind.effective is None
    assert {shown.share for shown in view.behind.views} == {None}
    assert [shown.at for shown in view.behind.views][:3] == [90.0, 45.0, 180.0], "the object's own, nearest first"
    with pytest.raises(UserError, match="has no objects to turn"):
        TurnLab(lab(root, "exact"))


def test_pairs_are_predicted_as_the_evaluation_does_and_marked_by_their_split(root: Path) -> None:
    run = lab(root, "grid")
    grid = GridLab(run)
    view = grid.view(4)
    assert view.rows == ("hero 4", "hero 5", "hero 6", "hero 0", "hero 1"), "after the last row comes the first"
    test, means = run.auxiliary("test"), run.latents("test").mean.numpy()
    errors: dict[bool, list[float]] = {True: [], False: []}
    for row, cells in zip(view.rows, view.cells, strict=True):
        for column, cell in zip(view.columns, cells, strict=True):
            who, pose = int(row[-1]), int(column[-1])
            trained = (3 * who + pose) % 9 not in (0, 4)
            assert cell.kind == ("trained" if trained else "generated")
            assert cell.mse is not None
            errors[trained].append(cell.mse)
            found = np.flatnonzero((test["character"] == who) & (test["pose"] == pose))
            if found.size:
                np.testing.assert_allclose(cell.predicted, run.decoded(means[found], {})[0], atol=1e-5)
    assert view.errors == pytest.approx({"generated": np.mean(errors[False]), "trained": np.mean(errors[True])})
    assert view.new == (False,) * 5
    assert len(tidy(export.grid(view))) == 5 * 8
    with pytest.raises(UserError, match="has no grid"):
        GridLab(lab(root, "turn"))


def test_a_pair_rests_on_the_views_of_the_smoother(root: Path) -> None:
    run = lab(root, "grid")
    grid, test, train = GridLab(run), run.auxiliary("test"), run.auxiliary("train")
    pairs = grid.pairs(4)
    kinds = [cell.kind for cells in grid.view(4).cells for cell in cells]
    assert grid.first_generated(4) == kinds.index("generated") > 0
    tested = {
        (int(who), int(pose)): k for k, (who, pose) in enumerate(zip(test["character"], test["pose"], strict=True))
    }
    pair = next(pair for pair in pairs if pair in tested)
    assert grid.name(pair) == f"character hero {pair[0]}, pose pose {pair[1]}"
    found = views_behind(run.run, test.take(np.array([tested[pair]])), top=10)[0]
    view = grid.behind(pair)
    assert [shown.index for shown in view.views] == found.index.tolist()
    assert [shown.share for shown in view.views] == pytest.approx(found.share.tolist())
    assert (view.effective, view.rests) == (pytest.approx(found.effective), "weights")
    first = view.views[0]
    assert first.thing == f"hero {train['character'][first.index]}, pose {train['pose'][first.index]}"
    assert grid.training_view(pair) is None
    trained = pairs[kinds.index("trained")]
    index = grid.training_view(trained)
    assert index is not None
    assert (train["character"][index], train["pose"][index]) == trained
    for theme in (LIGHT, DARK):
        drawn = prior_view.behind(view, theme)
        assert len(pictures(drawn)) == len(view.views)
        assert "away" not in str(drawn)
    rows = tidy(export.behind(view))
    assert [int(row["training_image"]) for row in rows] == found.index.tolist()
    assert rows[0]["object"] == grid.name(pair)


def test_new_rows_are_found_from_their_context_which_is_marked_and_not_scored(tmp_path: Path) -> None:
    run = lab_of(load_run(run_on(heroes(tmp_path / "h.npz"), tmp_path / "new", "svgp:12", BY_CONTEXT), device="cpu"))
    grid, test = GridLab(run), run.auxiliary("test")
    assert (grid.row.name, len(grid)) == ("character", 6)
    view = grid.view(1)
    assert view.rows == ("hero 7", "hero 8", "hero 6", "hero 1", "hero 2")
    assert view.new == (True, True, True, False, False)
    first = {int(code): np.flatnonzero(test["character"] == code)[:4] for code in np.unique(test["character"])}
    means = run.latents("test").mean.numpy()
    for row, new, cells in zip(view.rows, view.new, view.cells, strict=True):
        for column, cell in zip(view.columns, cells, strict=True):
            who, pose = int(row[-1]), int(column[-1])
            if not new:
                assert cell.kind == ("generated" if (3 * who + pose) % 9 == 4 else "trained")
                continue
            found = int(np.flatnonzero((test["character"] == who) & (test["pose"] == pose))[0])
            assert cell.kind == ("given" if found in first[who] else "generated")
            np.testing.assert_allclose(cell.predicted, run.decoded(means[[found]], {})[0], atol=1e-5)
    assert {cell.kind for cell in view.cells[0]} == {"given", "generated"}
    evaluation = evaluate_conditional(run.run, k=2)
    assert evaluation.context == 12
    score = run_score(run)
    assert (score.images, score.mse) == (evaluation.mse.n, pytest.approx(evaluation.mse.mean, rel=1e-4))
    rows = tidy(export.grid(view))
    assert {row["image"] for row in rows if row["is_new"]} == {"given", "generated"}
    for theme in (LIGHT, DARK):
        drawn: Any = prior_grid.figure(view, theme)
        given = sum(cell.kind == "given" for cells in view.cells for cell in cells)
        assert sum(shape.line.dash == "dot" for shape in drawn.layout.shapes) == given > 0


def test_maps_show_the_latents_or_their_neighbourhoods(root: Path) -> None:
    plane = lab(root, "turn")
    found = latent_map(plane, silent)
    train = plane.auxiliary("train")
    z, _ = plane.predicted({name: train[name] for name in ("angle", "object")})
    np.testing.assert_allclose(found.xy, z)
    assert found.colours == ("angle (degrees)", "object")
    series = latent_map(lab(root, "exact"), silent)
    assert (series.split, series.whole, len(series.index)) == ("test", 26, 26)
    assert series.colours == ("place x", "place y", "time (s)", "film")
    assert len(tidy(export.latents(series))) == 26
    for view in (found, series):
        for colour in view.colours:
            for theme in (LIGHT, DARK):
                figure = prior_map.figure(view, colour, theme)
                assert sum(len(trace.x) for trace in traces(figure)) == len(view.index)


def test_runs_are_compared_by_the_errors_of_their_evaluation(root: Path) -> None:
    labs = [lab(root, name) for name in ("m6", "m3", "exact")]
    scores = [run_score(each) for each in labs]
    for each, score in zip(labs, scores, strict=True):
        evaluation = evaluate_conditional(each.run, k=2)
        assert score.mse == pytest.approx(evaluation.mse.mean, rel=1e-4)
        assert score.path_rmse == pytest.approx(evaluation.path_rmse, rel=1e-3)
        assert (score.images, score.epochs) == (26, 3)
        assert score.learned
        assert score.length_scale != 3.0, "which it was before training"
        assert true_length_scale(each.run.config.data.name) is None
    assert [row["inducing_points"] for row in tidy(export.scores(scores))] == [6, 3, None]


def test_a_run_far_beyond_the_true_path_does_not_shrink_it_to_a_line(root: Path) -> None:
    view = SeriesLab(lab(root, "exact")).view(1, "none")
    path = view.curves.mean[view.at_frames]
    good = replace(view, path=path, curves=replace(view.curves, deviation=0 * view.curves.deviation))
    off = replace(good, run="off", curves=replace(good.curves, mean=1e3 * view.curves.mean))
    assert prior_curves.cut_off([good]) == []
    assert prior_curves.cut_off([good, off]) == ["off"]
    wide = 3 * np.ptp(path, axis=0).max()
    # Of the series the second panel has the second coordinate; of the plane it is on the vertical axis.
    for draw, axis in ((prior_curves.series, "yaxis2"), (prior_curves.plane, "yaxis")):
        assert draw([good], LIGHT).layout[axis].range is None
        low, high = sorted(draw([good, off], LIGHT).layout[axis].range)
        assert low < path[:, 1].min() < path[:, 1].max() < high
        assert high - low <= wide


def test_figures_hold_the_numbers_of_their_views(root: Path) -> None:
    run = lab(root, "exact")
    view = SeriesLab(run).view(1, "middle")
    figure = prior_curves.series([view, replace(view, run="other")], LIGHT)
    means = [trace for trace in traces(figure) if trace.name == "exact"]
    np.testing.assert_array_equal(means[1].y, view.curves.mean[:, 1])
    bands = [trace for trace in traces(figure) if trace.fill == "toself"]
    assert len(bands) == 4
    np.testing.assert_allclose(
        bands[0].y[: len(view.curves.at)] - means[0].y, 2 * view.curves.deviation[:, 0], rtol=1e-9
    )
    shares = traces(frame_shares.figure(view, DARK))[0]
    np.testing.assert_allclose(np.nansum(shares.z, axis=1), 1.0, rtol=1e-5)
    film = video_film.film([view], "time", "plane", "sentence", LIGHT)
    assert len(film["words"]) == len(film["at"]) == len(film["tracks"][1]["tiles"]) == len(view.curves.at)
    assert [
        place for place, tile in enumerate(film["tracks"][0]["tiles"]) if tile is not None
    ] == view.at_frames.tolist()
    assert "hidden, predicted" in film["words"][view.at_frames[2]]
    plane = prior_curves.plane([view], DARK)
    np.testing.assert_array_equal(traces(plane)[0].x, view.curves.mean[:, 0])
    turn = TurnLab(lab(root, "turn")).view(1, 135.0)
    assert len(pictures(prior_view.prediction([turn], LIGHT))) == 3 + 9
    assert len(pictures(prior_view.prediction([turn, turn], LIGHT))) == 5
    assert len(pictures(prior_view.behind(turn.behind, DARK))) == len(turn.behind.views)
    assert len(tidy(export.behind(turn.behind))) == len(turn.behind.views)
    assert len(tidy(export.turn([turn]))) == turn.mean.size
    assert len(tidy(export.turn_latents([turn]))) == len(turn.curves.at)
    assert len(tidy(export.shares([view]))) == len(view.times) * int(view.seen.sum())
    assert len(traces(prior_view.curves([turn], DARK))) == 3 * len(turn.coordinates)
    grid = GridLab(lab(root, "grid")).view(0)
    drawn = prior_grid.figure(grid, LIGHT, chosen=9)
    assert len(pictures(drawn)) == 2 * 5 * 8
    picked: Any = next(mark for mark in traces(drawn) if mark.mode == "markers")
    assert (list(picked.customdata), picked.text[9]) == (list(range(40)), "hero 1, pose 1")
    ring = drawn.layout.shapes[-1]
    assert ring.x0 < picked.x[9] < ring.x1
    assert ring.y0 < picked.y[9] < ring.y1


def test_further_runs_have_the_settings_of_the_first(root: Path, tmp_path: Path) -> None:
    run = lab(root, "m6")
    assert {"svgp", "markov", "gp-vae"} <= set(conditional_methods())
    more = planned(run, "svgp:2", 1)
    own = run.run.config
    assert (more.method, more.inference.model_dump()["points"], more.train.epochs) == ("svgp:2", 2, 1)
    assert more.prior == own.prior
    assert more.net == own.net
    name = run_name(tmp_path, more)
    assert name == "f-svgp2"
    folder = train_run(tmp_path, more, run.run.data)
    assert load_run(folder).metrics[-1]["epoch"] == 1
    assert run_name(tmp_path, more) == "f-svgp2-2", "one that is finished is kept"
    markov = planned(run, "markov", 1)
    assert (markov.prior, markov.net, markov.train.lr) == (own.prior, own.net, own.train.lr)
    sparse = planned(lab(root, "exact"), "svgp:5", 1).inference
    assert (sparse.kind, sparse.model_dump()["points"]) == ("svgp", 5)
    with pytest.raises(UserError, match="wants one Matern kernel"):
        planned(lab(root, "grid"), "markov", 1)


def test_missing_frames_and_pixels_are_predicted_and_no_errors_are_taken_on_them(tmp_path: Path) -> None:
    table = films(tmp_path / "holes.npz", with_place=False, missing=True)
    run = PriorLab(load_run(run_on(table, tmp_path / "holes", "gp-vae", BY_TIME), device="cpu"))
    series = SeriesLab(run)
    whole, part = series.view(0, "none"), series.view(0, "second")
    assert whole.missing.tolist() == [False, True, *[False] * 4]
    assert whole.seen.tolist() == (~whole.missing).tolist()
    assert part.seen.tolist() == [True, False, True, False, True, False]
    assert part.counted.tolist() == [False, False, False, True, False, True], "a missing frame has no error"
    assert np.isnan(whole.mse).tolist() == whole.missing.tolist()
    half = np.square(whole.decoded[0] - whole.frames[0])[:, :, 3:].mean()
    assert whole.mse[0] == pytest.approx(half), "only observed pixels count"
    assert (whole.path, whole.rmse, whole.unit) == (None, None, "latent")
    names = [trace.name for trace in traces(prior_curves.series([part], LIGHT))]
    assert {"frame given", "frame hidden", "frame missing"} <= set(names)
    assert "missing in the data" in video_film.film([part], "t", "p", "", DARK)["words"][part.at_frames[1]]
    assert run_score(run).mse == pytest.approx(evaluate_conditional(run.run, k=2).mse.mean, rel=1e-4)
    shown = prior_curves.plane([part], DARK)
    assert sum(len(trace.x) for trace in traces(shown)[1:]) == len(part.times)
