"""A conditional VAE in the GP-Prior Lab: its predictions by hand, and where it differs from runs with a GP prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.inference.condition import Condition, with_channels
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.conditional_vae import ConditionalVAELab
from gpvae_core.inspection.prior_lab.first_runs import conditional_methods, planned
from gpvae_core.inspection.prior_lab.grid import GridLab
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.latent_map import latent_map
from gpvae_core.inspection.prior_lab.opening import lab_of
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.scores import run_score
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.inspection.prior_lab.turn import TurnLab
from gpvae_core.progress import silent
from gpvae_core.runs import load_run
from tests.dashboards.prior_runs import BY_ANGLE, films, pairs, run_on, views
from tests.tidy import tidy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rivals")
    of_views = views(folder / "v.npz")
    run_on(of_views, folder / "turn", "cvae", {})
    run_on(of_views, folder / "svgp", "svgp:8", BY_ANGLE)
    run_on(pairs(folder / "p.npz"), folder / "grid", "cvae", {})
    run_on(films(folder / "f.npz"), folder / "films", "cvae", {})
    return folder


def opened(root: Path, name: str) -> ConditionalLab:
    return lab_of(load_run(root / name, device="cpu"), name)


@torch.no_grad()
def by_hand(lab: ConditionalLab, thing: int, angle: float) -> np.ndarray:
    """Encode the object's training views with their angles, and decode the mean of their means at another angle."""
    model, train = lab.run.model, lab.auxiliary("train")
    condition = model.extra
    assert isinstance(condition, Condition)
    own = np.flatnonzero(train["object"] == thing)
    c = condition({"angle": torch.from_numpy(train["angle"][own])})
    z = model.encoder(with_channels(lab.run.data.train.pixels(own), c)).mean.double().mean(0, keepdim=True)
    at = condition({"angle": torch.tensor([angle], dtype=torch.float64)})
    return model.likelihood.mean(model.decoder(torch.cat([z.float(), at], 1)))[0].double().numpy()


def test_an_object_is_turned_by_the_mean_of_its_training_views(root: Path) -> None:
    lab = opened(root, "turn")
    assert isinstance(lab, ConditionalVAELab)
    turn = TurnLab(lab)
    assert (lab.layout, turn.what, turn.range, len(turn)) == ("turn", "object", (0.0, 360.0), 6)
    for position, angle in ((0, 135.0), (4, 20.0)):
        view = turn.view(position, angle)
        np.testing.assert_allclose(view.mean, by_hand(lab, position, angle), atol=1e-5)
        assert not view.has_process
        shown = np.argmin(np.abs(view.strip_at - angle))
        np.testing.assert_allclose(view.strip[shown], by_hand(lab, position, view.strip_at[shown]), atol=1e-5)
    errors = [turn.view(position, 135.0).mse for position in range(len(turn))]
    assert np.mean(np.array(errors, float)) == pytest.approx(evaluate_conditional(lab.run, k=2).mse.mean, rel=1e-4)


def test_a_prediction_rests_on_all_training_views_of_the_object_alike(root: Path) -> None:
    lab = opened(root, "turn")
    train = lab.auxiliary("train")
    view, own = TurnLab(lab).view(1, 135.0), np.flatnonzero(train["object"] == 1)
    assert (view.behind.rests, view.behind.effective) == ("identity", pytest.approx(len(own)))
    assert sorted(shown.index for shown in view.behind.views) == own.tolist()
    np.testing.assert_allclose([shown.share or 0.0 for shown in view.behind.views], 1 / len(own))
    weights = lab.weights({"angle": np.array([135.0]), "object": np.array([1])})
    assert weights is not None
    means = lab.image_means("train", np.arange(len(train)))
    mean, _ = lab.predicted({"angle": np.array([135.0]), "object": np.array([1])})
    np.testing.assert_allclose(torch.einsum("dpn,nd->pd", weights, torch.from_numpy(means)).numpy(), mean, atol=1e-6)


def test_a_rival_is_compared_with_runs_with_a_gp_prior(root: Path) -> None:
    labs = [opened(root, name) for name in ("turn", "svgp")]
    assert isinstance(labs[1], PriorLab)
    scores = [run_score(lab) for lab in labs]
    for lab, score in zip(labs, scores, strict=True):
        assert score.mse == pytest.approx(evaluate_conditional(lab.run, k=2).mse.mean, rel=1e-4)
    assert (scores[0].points, scores[0].length_scale, scores[0].learned) == (None, None, False)
    assert len(tidy(export.scores(scores))) == 2


def test_its_map_is_of_each_image_alone(root: Path) -> None:
    lab = opened(root, "turn")
    found = latent_map(lab, silent)
    assert (found.split, found.whole) == ("train", len(lab.run.data.train))
    z = lab.image_means("train", np.array([3, 5]))
    assert not np.allclose(z[0], z[1])


def test_its_grid_knows_one_category_and_finds_the_other_from_its_images(root: Path) -> None:
    grid = GridLab(opened(root, "grid"))
    assert {grid.row.name, grid.column.name} == {"character", "pose"}
    cells = [cell for row in grid.view(0).cells for cell in row]
    assert len(cells) == 40
    assert all(np.isfinite(cell.predicted).all() for cell in cells)


def test_films_are_turned_by_time_and_are_no_series(root: Path) -> None:
    lab = opened(root, "films")
    assert (lab.layout, len(TurnLab(lab))) == ("turn", 4)
    with pytest.raises(UserError, match="has no series of frames"):
        SeriesLab(lab)
    with pytest.raises(UserError, match="wanted a run of method cvae"):
        ConditionalVAELab(load_run(root / "svgp", device="cpu"))


def test_rivals_and_runs_with_a_gp_prior_are_trained_from_one_another(root: Path) -> None:
    assert conditional_methods()["cvae"] == ""
    svgp = opened(root, "svgp")
    rival = planned(svgp, "cvae", 2)
    assert (rival.inference.kind, rival.prior.kind, rival.train.epochs) == ("cvae", "normal", 2)
    assert (rival.net, rival.latent_dim) == (svgp.run.config.net, svgp.run.config.latent_dim)
    with pytest.raises(UserError, match="kernel"):
        planned(opened(root, "turn"), "svgp:4", 2)
