"""Predictions and filled-in pixels of the conditional VAE, against means over the encoder's posteriors by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.prediction import columns_used, impute, predict
from gpvae_core.inference.condition import Condition, with_channels
from gpvae_core.inference.conditional import columns_of
from gpvae_core.runs import Run, load_run
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.missing_data import DROPPED, HOLED, on, seen
from tests.inference.gp_prior.series_data import BY_OBJECT, CPU, trained

PARTS = ("train", "validation", "test")
AT = {"angle": np.array([0.3, 0.3, 5.0]), "object": np.array(["a", "c", "b"])}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with on(HOLED):
        return trained("cvae", BY_OBJECT, tmp_path / "run")


def condition(run: Run) -> Condition:
    assert isinstance(run.model.extra, Condition)
    return run.model.extra


@torch.no_grad()
def encoded(run: Run) -> tuple[Tensor, Tensor, Tensor]:
    """Means and variances of the latents of all images that are no missing frames, and their objects."""
    means, variances, objects = [], [], []
    for part in PARTS:
        split = DeviceSplit(getattr(HOLED, part), CPU)
        for row in seen(getattr(HOLED, part)):
            index = torch.tensor([int(row)])
            q = run.model.encoder(with_channels(split.batch(index), condition(run)(columns_of(split, index))))
            means.append(q.mean.double())
            variances.append(q.variance.double())
            objects.append(split.columns["object"][index])
    return torch.cat(means), torch.cat(variances), torch.cat(objects)


@torch.no_grad()
def shown(run: Run, z: Tensor, angle: float) -> np.ndarray:
    """The image of one latent at an angle."""
    c = condition(run)({"angle": torch.tensor([angle], dtype=torch.float64)})
    return run.model.likelihood.mean(run.model.decoder(torch.cat([z[None].float(), c], 1)))[0].numpy()


def test_a_prediction_is_from_the_mean_latent_of_all_images_of_the_identity(run: Run) -> None:
    assert [column.name for column in columns_used(run)] == ["angle", "object"]
    found = predict(run, AT, k=4000)
    means, variances, objects = encoded(run)
    for row, (angle, name) in enumerate(zip(AT["angle"], AT["object"], strict=True)):
        own = objects == "abc".index(name)
        mean, variance = means[own].mean(0), variances[own].sum(0) / int(own.sum()) ** 2
        np.testing.assert_allclose(found.latents[row], mean, atol=1e-6)
        np.testing.assert_allclose(found.latent_variances[row], variance, atol=1e-6)
        np.testing.assert_allclose(found.images[row], shown(run, mean, float(angle)), atol=1e-5)
        z = mean + variance.sqrt() * torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
        drawn = np.stack([shown(run, one, float(angle)) for one in z]).var(0)
        noise = float(run.model.likelihood.noise_scale() or 0)
        np.testing.assert_allclose(found.std[row], np.sqrt(drawn + noise**2), rtol=0.06)


@pytest.mark.parametrize("split", PARTS)
def test_missing_pixels_are_from_the_images_own_latent_and_missing_frames_from_the_identity(
    split: Any, run: Run
) -> None:
    found, part = impute(run, split, k=3), getattr(HOLED, split)
    there = np.broadcast_to(part.observed[:, None], part.images.shape)
    np.testing.assert_array_equal(found.images[there], part.images[there])
    assert (found.std[there] == 0).all()
    assert (found.std[~there] > 0).all()
    means, variances, objects = encoded(run)
    low = sum(len(seen(getattr(HOLED, name))) for name in PARTS[: PARTS.index(split)])
    place = {int(row): low + number for number, row in enumerate(seen(part))}
    for row in range(len(part)):
        own = objects == int(part.auxiliary["object"][row])
        mean, variance = means[own].mean(0), variances[own].sum(0) / int(own.sum()) ** 2
        if row in place:
            mean, variance = means[place[row]], variances[place[row]]
        np.testing.assert_allclose(found.prediction.latents[row], mean, atol=1e-6)
        np.testing.assert_allclose(found.prediction.latent_variances[row], variance, atol=1e-6)
        image = shown(run, mean, float(part.auxiliary["angle"][row]))
        np.testing.assert_allclose(found.images[row][~there[row]], image[~there[row]], atol=1e-5)


def test_predictions_and_scores_are_those_without_the_missing_frames(run: Run) -> None:
    other = load_run(run.dir, device="cpu")
    other._data = DROPPED
    a, b = predict(run, AT, k=3), predict(other, AT, k=3)
    np.testing.assert_allclose(a.images, b.images, atol=1e-6)
    np.testing.assert_allclose(a.std, b.std, atol=1e-6)
    holed, dropped = evaluate_conditional(run, k=3), evaluate_conditional(other, k=3)
    assert holed.mse.n == dropped.mse.n == len(DROPPED.test.images)
    assert holed.mse.mean == pytest.approx(dropped.mse.mean, rel=1e-5)
    assert holed.unscored == len(HOLED.test) - len(DROPPED.test)


def test_a_column_that_it_does_not_get_is_one_line(run: Run) -> None:
    with pytest.raises(UserError, match="wanted values of column 'object', on which run 'run' depends, got 1 column"):
        predict(run, {"angle": np.array([1.0])})
