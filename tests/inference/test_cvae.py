"""The conditional VAE: the numbers of its columns, its bound, its predictions, and its way through training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gpvae_core.api import train as train_run
from gpvae_core.config import make_config
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.base import DataConfig
from gpvae_core.data.rotated_mnist import RotatedMnist
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import ConditionalEvaluation, evaluate_conditional
from gpvae_core.inference.condition import Condition, ConditionedEncoder, with_channels
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.cvae import ConditionalVAE, CvaeConfig
from gpvae_core.progress import Cancelled, silent
from gpvae_core.run_files import read_metrics
from gpvae_core.runs import Run, load_run
from gpvae_core.training import resume, train
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_OBJECT, COLUMNS, CPU, DATA, conditional, config, model, trained
from tests.inference.gp_prior.test_training import StopAfter

TRAIN = DeviceSplit(DATA.train, CPU)


def engine_of(vae: VAE, settings: dict[str, Any]) -> ConditionalVAE:
    engine = conditional("cvae", settings, vae)
    assert isinstance(engine, ConditionalVAE)
    return engine


def condition_of(vae: VAE) -> Condition:
    assert isinstance(vae.extra, Condition)
    return vae.extra


def test_the_numbers_of_columns_are_their_formulas() -> None:
    vae = model("cvae", {"condition": "time, angle, object, place"})
    values = columns_of(TRAIN)
    c = condition_of(vae)(values).double()
    time, place = values["time"], values["place"]
    one_hot = torch.nn.functional.one_hot(values["object"], 3).double()
    expected = [
        ((time - time.mean()) / time.std(correction=0))[:, None],
        values["angle"].sin()[:, None],
        values["angle"].cos()[:, None],
        one_hot - one_hot.mean(0),
        (place - place.mean(0)) / place.std(0, correction=0),
    ]
    torch.testing.assert_close(c, torch.cat(expected, 1), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "columns", "identity"),
    [
        ({}, ["time", "angle"], "series"),
        (BY_OBJECT, ["angle"], "object"),
        ({"condition": "object,place"}, ["object", "place"], "series"),
    ],
)
def test_by_default_numbers_are_known_and_the_largest_category_is_the_identity(
    settings: dict[str, str], columns: list[str], identity: str
) -> None:
    condition = CvaeConfig(**settings).extra(config("cvae", {}).prior, COLUMNS, 2)
    assert isinstance(condition, Condition)
    assert [column.name for column in condition.columns] == columns
    assert condition.identity == identity


def test_without_numbers_the_other_categories_are_known() -> None:
    columns = (Column("pose", "category", names=("a", "b")), Column("who", "category", names=("x", "y", "z")))
    condition = CvaeConfig().extra(config("cvae", {}).prior, columns, 2)
    assert isinstance(condition, Condition)
    assert ([column.name for column in condition.columns], condition.identity) == (["pose"], "who")


def test_encoder_and_decoder_know_the_condition_and_take_its_mean_without() -> None:
    vae = model("cvae", BY_OBJECT)
    x, engine = TRAIN.batch(torch.arange(4)), engine_of(vae, BY_OBJECT)
    values = columns_of(TRAIN, torch.arange(4))
    c = condition_of(vae)(values)
    other = vae.encoder(with_channels(x, c.roll(1, 0))).mean
    assert not torch.allclose(vae.encoder(with_channels(x, c)).mean, other)
    torch.testing.assert_close(vae.encoder(x).mean, vae.encoder(with_channels(x, torch.zeros_like(c))).mean)
    z = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    turned = {**values, "angle": values["angle"] + math.pi}
    assert not torch.allclose(engine.decode(z, values), engine.decode(z, turned))
    again = {**values, "angle": values["angle"] + 2 * math.pi}
    torch.testing.assert_close(engine.decode(z, values), engine.decode(z, again), atol=1e-5, rtol=1e-5)
    assert vae.decode(z).shape == engine.decode(z, values).shape == (3, 4, 1, 4, 4)


def test_the_features_are_beside_the_condition() -> None:
    """The encoder's last layer has weights of its own for the condition, beside those of the trunk's features."""
    encoder = model("cvae", BY_OBJECT).encoder
    assert isinstance(encoder, ConditionedEncoder)
    assert encoder.base.head.in_features == 8 + 2


def test_a_step_is_the_elbo_given_the_columns() -> None:
    vae = model("cvae", BY_OBJECT)
    index = torch.arange(9)
    step = engine_of(vae, BY_OBJECT).step(index, BoundSettings(kl_weight=0.5), torch.Generator().manual_seed(3))
    x, c = TRAIN.batch(index), condition_of(vae)(columns_of(TRAIN, index))
    q = vae.encoder(with_channels(x, c))
    eps = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(3))[0]
    g = vae.decoder(torch.cat([q.mean + q.variance.sqrt() * eps, c], 1))
    kl = 0.5 * (q.variance + q.mean.square() - 1 - q.variance.log()).sum(1)
    log_likelihood = vae.likelihood.log_prob(x, g)
    torch.testing.assert_close(step.bound.value, (log_likelihood - kl).detach(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(step.bound.surrogate, (log_likelihood - 0.5 * kl).mean(), atol=1e-4, rtol=1e-5)


def test_an_image_is_predicted_from_the_mean_latent_of_its_identity() -> None:
    vae = model("cvae", {})
    series = torch.tensor([2, 0, 11])  # the last has no training image
    split = DeviceSplit(DATA.test.take(np.array([0, 1, 2])), CPU)
    split.columns["series"] = series
    found = engine_of(vae, {}).latents(split)
    for row, code in enumerate(series.tolist()):
        (own,) = (TRAIN.columns["series"] == code).nonzero(as_tuple=True)
        q = vae.encoder(with_channels(TRAIN.batch(own), condition_of(vae)(columns_of(TRAIN, own))))
        if len(own):
            torch.testing.assert_close(found.mean[row], q.mean.double().mean(0), atol=1e-6, rtol=1e-5)
            variance = q.variance.double().sum(0) / len(own) ** 2
            torch.testing.assert_close(found.variance[row], variance, atol=1e-6, rtol=1e-5)
        else:
            assert found.mean[row].tolist() == [0.0, 0.0]
            assert found.variance[row].tolist() == [1.0, 1.0]


def test_a_stopped_run_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**BY_OBJECT, "train.batch_size": 8, "train.epochs": 3}
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    whole = train(config("cvae", settings), tmp_path / "whole", data=DATA, device="cpu")
    for steps in (1, 5):
        stopped = tmp_path / f"stopped-{steps}"
        with pytest.raises(Cancelled):
            train(config("cvae", settings), stopped, data=DATA, device="cpu", progress=StopAfter(steps))
        resume(stopped, device="cpu")
        first, second = (load_run(f, weights="last", device="cpu").model.state_dict() for f in (whole, stopped))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_evaluation_and_metrics_are_those_of_gp_prior_runs(tmp_path: Path) -> None:
    run = trained("cvae", BY_OBJECT, tmp_path / "run")
    row = read_metrics(run.dir / "metrics.jsonl")[-1]
    assert {"reconstruction", "kl", "mse", "validation_elbo"} <= row.keys()
    assert row["train_bound"] == pytest.approx(row["reconstruction"] - row["kl"], abs=1e-3)  # pyright: ignore
    result = evaluate_conditional(run, k=3)
    assert isinstance(result, ConditionalEvaluation)
    assert result.given == "the training images of the same object"
    assert (result.mse.n, result.path_rmse) == (len(DATA.test), None)
    with pytest.raises(UserError, match="models images given their auxiliary columns"):
        run.model.log_weights(DATA.test.pixels([0]), 2)


def turned_squares(angles: Tensor, objects: Tensor) -> Split:
    """Images whose left half is as bright as the sine of the angle, and the right half as its object says."""
    left = 0.5 + 0.4 * angles.sin()
    right = torch.tensor([0.1, 0.5, 0.9])[objects]
    images = torch.stack([left, left, right, right], 1)[:, None, None, :].expand(-1, 1, 4, 4)
    columns = (COLUMNS[1], COLUMNS[3])
    values = {"angle": angles.double().numpy(), "object": objects.numpy()}
    stored = np.ascontiguousarray(images.numpy().astype(np.float32))
    return Split(stored, np.zeros(len(angles), np.int64), 1, Auxiliary(columns, values))


def test_it_turns_an_object_to_an_angle_that_it_has_not_seen(tmp_path: Path) -> None:
    steps = torch.arange(24.0)
    grid = torch.cartesian_prod(steps, torch.arange(3.0))
    angles, objects = 2 * math.pi / 24 * grid[:, 0], grid[:, 1].long()
    kinds = {"train": grid[:, 0] % 4 < 2, "validation": grid[:, 0] % 4 == 2, "test": grid[:, 0] % 4 == 3}
    parts = {name: turned_squares(angles[at], objects[at]) for name, at in kinds.items()}
    data = replace(DATA, **parts)
    settings = {"train.epochs": 400, "train.lr": 1e-2, "net.hidden": 32, "train.batch_size": 36}
    folder = train(config("cvae", settings), tmp_path / "run", data=data, device="cpu")
    run = load_run(folder, device="cpu")
    run._data = data
    result = evaluate_conditional(run, k=2)
    mean_image = result.yardsticks.mean_image.mean
    assert result.mse.mean is not None
    assert mean_image is not None
    assert result.mse.mean < 0.05 * mean_image


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"condition": "angel"}, "did you mean 'angle'"),
        ({"identity": "angle"}, "unknown column 'angle'"),
        ({"train.samples": 2}, "works only with --set train.samples=1"),
        ({"prior.kind": "gp", "prior.kernel": "rbf(time)"}, "works only with --set prior.kind=normal, got gp"),
    ],
)
def test_what_does_not_suit_is_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        model("cvae", settings)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_data_without_columns_and_too_many_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="wants data with auxiliary columns, such as rotated-mnist, got data without"):
        train_run("cvae", "digits", settings={"epochs": 1}, progress=silent)
    monkeypatch.setattr("gpvae_core.inference.cvae.MOST_NUMBERS_OF_A_CONDITION", 2)
    with pytest.raises(UserError, match="wanted columns of 1 to 2 numbers in all as the condition of images, got 3"):
        model("cvae", {})


@pytest.mark.skipif(not RotatedMnist.present(), reason="no MNIST files")
@pytest.mark.parametrize("method", ["cvae", "gppvae"])
def test_rotated_digits_go_from_training_to_evaluation(method: str, tmp_path: Path) -> None:
    from gpvae_core.data.base import load

    whole = load(DataConfig(name="rotated-mnist"))
    few = {part: getattr(whole, part).take(np.arange(60)) for part in ("train", "validation", "test")}
    data = replace(whole, **few)
    settings = {"net.kind": "casale", "latent_dim": 4, "train.epochs": 3, "train.batch_size": 30, "train.lr": 1e-3}
    cfg = make_config(method, DataConfig(name="rotated-mnist"), data.event_shape, settings)
    run: Run = load_run(train(cfg, tmp_path / "run", data=data, device="cpu"), device="cpu")
    run._data = data
    bounds = [row["train_bound"] for row in run.metrics]
    assert bounds[-1] > bounds[0]
    result = evaluate_conditional(run, k=2)
    assert result.mse.n == 60
    assert result.yardsticks.nearest_view_rotated is not None
