"""Predictions at any columns and the filling in of missing pixels, against dense Gaussian algebra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpvae_core.api import train as train_run
from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.prediction import impute, predict
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import silent
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from gpvae_core.validation import DeviceSplit
from tests.gp_prior.dense import posterior
from tests.inference.gp_prior.missing_data import HOLED, on, seen
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, SHAPE, config, inference

A = 0.3 * torch.randn(2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PARTS = ("train", "validation", "test")


class LinearDecoder(nn.Module):
    """y = 1/2 + z A, so that mean and standard deviation of pixels are known for Gaussian z."""

    def forward(self, z: Tensor) -> Tensor:
        return (0.5 + z @ A.to(z)).reshape(-1, *SHAPE)


def run_on(data: Dataset, method: str, settings: dict[str, Any], out: Path) -> Run:
    settings = {"train.batch_size": 64, "train.epochs": 1, **settings}
    run = load_run(train(config(method, settings), out, data=data, device="cpu"), device="cpu")
    run._data, run.model.decoder = data, LinearDecoder()
    return run


def all_images(run: Run, data: Dataset, settings: dict[str, Any]) -> tuple[dict[str, Tensor], PseudoObservations]:
    """Columns and pseudo-observations of all three splits."""
    engine = inference("gp-vae", settings, run.model)
    splits = [DeviceSplit(getattr(data, part), CPU) for part in PARTS]
    pieces = [engine.pseudo_observations(split) for split in splits]
    columns = {name: torch.cat([split.columns[name] for split in splits]) for name in splits[0].columns}
    mean, precision = (torch.cat([getattr(piece, name) for piece in pieces], 1) for name in ("mean", "precision"))
    return columns, PseudoObservations(mean, precision)


def kernel(run: Run, x: Tensor, y: Tensor) -> Tensor:
    assert isinstance(run.model.extra, GPModel)
    inputs = x[:, None]
    return run.model.extra.prior.kernel.matrix(inputs, inputs if x is y else y[:, None])


TIMES = np.array([0.3, 2.5, 2.5, 7.7])


def test_a_prediction_is_that_of_a_dense_gp_given_all_images(tmp_path: Path) -> None:
    settings = {"prior.kernel": "rbf(time, length_scale=2)"}
    run = run_on(HOLED, "gp-vae", settings, tmp_path / "run")
    found = predict(run, {"time": TIMES}, k=4000)
    columns, pseudo = all_images(run, HOLED, settings)
    t, s = columns["time"], torch.from_numpy(TIMES)
    q = posterior(kernel(run, t, t), kernel(run, s, t), kernel(run, s, s).diagonal(), pseudo)
    np.testing.assert_allclose(found.latents, q.mean.T, atol=1e-8)
    np.testing.assert_allclose(found.latent_variances, q.variance.T, atol=1e-8)
    np.testing.assert_allclose(found.images.reshape(4, -1), 0.5 + q.mean.T @ A, atol=1e-5)
    noise = float(run.model.likelihood.noise_scale() or 0)
    expected = (q.variance.T @ A.square() + noise**2).sqrt()
    np.testing.assert_allclose(found.std.reshape(4, -1), expected, rtol=0.06)


@pytest.mark.parametrize("method", ["gp-vae", "markov", "titsias"])
def test_groups_are_predicted_from_their_own_images_of_all_splits(method: str, tmp_path: Path) -> None:
    points = {"inference.points": 40, "prior.jitter": 1e-10} if method == "titsias" else {}
    run = run_on(HOLED, method, {**BY_TIME, **points}, tmp_path / "run")
    assert isinstance(run.model.extra, GPModel)
    if method == "titsias":
        run.model.get_parameter("extra.family.inducing.inputs").data = torch.linspace(-1, 9, 40).double()[:, None]
    names = np.array(["series 1", "series 10", "series 1", "series 7"])
    found = predict(run, {"time": TIMES, "series": names}, k=2)
    columns, pseudo = all_images(run, HOLED, BY_TIME)
    for row, (time, name) in enumerate(zip(TIMES, names, strict=True)):
        own = columns["series"] == int(name.split()[1])
        t, s = columns["time"][own], torch.tensor([time])
        given = PseudoObservations(pseudo.mean[:, own], pseudo.precision[:, own])
        q = posterior(kernel(run, t, t), kernel(run, s, t), kernel(run, s, s).diagonal(), given)
        tolerance = 2e-3 if method == "titsias" else 1e-8
        np.testing.assert_allclose(found.latents[row], q.mean[:, 0], atol=tolerance)
        np.testing.assert_allclose(found.latent_variances[row], q.variance[:, 0], atol=tolerance)


@pytest.mark.parametrize("split", PARTS)
def test_missing_pixels_are_filled_in_and_others_stay(split: Any, tmp_path: Path) -> None:
    """With white noise in the latents, which an image shares with its own observation alone."""
    settings = {**BY_TIME, "prior.kernel": "matern(time, nu=1.5) + white(variance=0.3)"}
    run = run_on(HOLED, "gp-vae", settings, tmp_path / "run")
    found, part = impute(run, split, k=3), getattr(HOLED, split)
    there = np.broadcast_to(part.observed[:, None], part.images.shape)
    np.testing.assert_array_equal(found.images[there], part.images[there])
    assert (found.std[there] == 0).all()
    assert (found.std[~there] > 0).all()
    columns, pseudo = all_images(run, HOLED, settings)
    low = sum(len(getattr(HOLED, name)) for name in PARTS[: PARTS.index(split)])
    for row in range(len(part)):
        own = columns["series"] == columns["series"][low + row]
        t = columns["time"][own]
        K, at = kernel(run, t, t), int(own[: low + row].sum())
        given = PseudoObservations(pseudo.mean[:, own], pseudo.precision[:, own])
        q = posterior(K, K[at : at + 1], K[at : at + 1, at], given)
        np.testing.assert_allclose(found.prediction.latents[row], q.mean[:, 0], atol=1e-8)
        np.testing.assert_allclose(found.prediction.latent_variances[row], q.variance[:, 0], atol=1e-8)
        image = np.asarray(0.5 + q.mean[:, 0] @ A).reshape(SHAPE)
        np.testing.assert_allclose(found.images[row][~there[row]], image[~there[row]], atol=1e-5)


def test_scores_are_over_observed_pixels_and_missing_frames_are_not_scored(tmp_path: Path) -> None:
    """By hand, pixel by pixel."""
    run = run_on(HOLED, "svgp", {**BY_VIEW, "inference.points": 4}, tmp_path / "run")
    result = evaluate_conditional(run, k=3)
    rows, test = seen(HOLED.test), HOLED.test
    assert test.observed is not None
    assert HOLED.train.observed is not None
    assert result.unscored == len(test) - len(rows) > 0
    assert result.mse.n == result.nlpd.n == result.coverage.n == len(rows)
    with on(HOLED):
        q = inference("svgp", {**BY_VIEW, "inference.points": 4}, run.model).latents(DeviceSplit(test, CPU))
    shown = (0.5 + q.mean @ A).reshape(-1, 4, 4)
    errors = [np.square(test.images[i, 0] - shown[i].numpy())[test.observed[i]].mean() for i in rows]
    train_pixels, mask = HOLED.train.images[:, 0], HOLED.train.observed
    mean_image = np.array([[train_pixels[mask[:, i, j], i, j].mean() for j in range(4)] for i in range(4)])
    assert result.mse.mean == pytest.approx(np.mean(errors), rel=1e-5)
    by_mean = [np.square(test.images[i, 0] - mean_image)[test.observed[i]].mean() for i in rows]
    assert result.yardsticks.mean_image.mean == pytest.approx(np.mean(by_mean), rel=1e-5)
    whole = evaluate_conditional(run_on(DATA, "svgp", {**BY_VIEW, "inference.points": 4}, tmp_path / "whole"), k=3)
    assert "unscored" not in whole.to_json()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"time": TIMES, "Serie": TIMES}, "got 2 columns ('time', 'Serie'); if 'Serie' is it, name it 'series'"),
        ({"time": TIMES}, "wanted values of column 'series', on which run 'run' depends, got 1 column ('time')"),
        ({"time": TIMES, "series": ["series 1"]}, "column 'series': wanted int64 of shape (4,)"),
        ({"time": TIMES[:1], "series": ["series 99"]}, "unknown series 'series 99'; did you mean 'series 9'"),
        ({"time": ["a"], "series": ["series 1"]}, "column 'time': wanted numbers, got ['a']"),
        ({"time": [np.nan], "series": ["series 1"]}, "column 'time': wanted finite numbers"),
        ({"time": [], "series": []}, "wanted at least one row of auxiliary data"),
    ],
)
def test_columns_that_do_not_suit_are_one_line(columns: dict[str, Any], said: str, tmp_path: Path) -> None:
    run = run_on(DATA, "gp-vae", BY_TIME, tmp_path / "run")
    with pytest.raises(UserError) as error:
        predict(run, {name: np.array(values) for name, values in columns.items()})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_other_runs_splits_and_counts_are_refused(tmp_path: Path) -> None:
    run = run_on(DATA, "gp-vae", BY_TIME, tmp_path / "run")
    with pytest.raises(UserError, match="did you mean 'test'"):
        impute(run, "tset")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="wanted 2 to 10,000 samples"):
        impute(run, k=1)
    vae = train_run("vae", "digits", settings={"epochs": 1}, progress=silent)
    with pytest.raises(UserError, match="has no GP prior"):
        predict(vae, {})
