"""GP-prior models through training: the run folder, metrics, exact resume, and how well they predict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.inference.conditional import sample
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.likelihoods.gaussian import GaussianLikelihood
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_metrics
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, DATA, config, inference, model, trained
from tests.inference.gp_prior.test_families import METHODS

SETTINGS: dict[str, dict[str, Any]] = {
    "gp-vae": BY_TIME,
    "markov": BY_TIME,
    "titsias": {**BY_TIME, "inference.points": 4},
    "svgp": {**BY_VIEW, "inference.points": 4, "inference.balance": "geco", "train.batch_size": 8},
    "hensman": {**BY_VIEW, "inference.points": 4, "train.batch_size": 8},
    "deep-svigp": {**BY_VIEW, "inference.points": 4, "train.batch_size": 8},
    "gppvae": {**BY_VIEW, "inference.regime": "disjoint"},
}


class StopAfter:
    """A progress that cancels after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, done: int, total: int, what: str) -> None:
        if what == "training":
            self.left -= 1
            if self.left < 0:
                raise Cancelled


def test_every_method_is_here() -> None:
    assert set(METHODS) == set(SETTINGS)


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_resumes_exactly(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**SETTINGS[method], "train.batch_size": 8, "train.epochs": 3}
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    whole = train(config(method, settings), tmp_path / "whole", data=DATA, device="cpu")
    for steps in (1, 4):
        stopped = tmp_path / f"stopped-{steps}"
        with pytest.raises(Cancelled):
            train(config(method, settings), stopped, data=DATA, device="cpu", progress=StopAfter(steps))
        resume(stopped, device="cpu")
        first, second = (load_run(f, weights="last", device="cpu").model.state_dict() for f in (whole, stopped))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("learn", [True, False])
def test_vectors_of_categories_are_learned_or_stay_at_their_start(learn: bool, tmp_path: Path) -> None:
    settings = {**SETTINGS["svgp"], "learn_vectors": learn, "vectors": "place"}
    name = "prior.inputs.tables.object"
    start = model("svgp", settings).get_parameter(f"extra.{name}").detach()
    run = trained("svgp", settings, tmp_path / "run")
    assert run.model.extra is not None
    assert torch.equal(run.model.extra.get_parameter(name), start) == (not learn)
    saved = json.loads((run.dir / "config.json").read_text())["inference"]
    assert ("learn_vectors" in saved) == (not learn), "the JSON of runs stays as it was before there was this setting"


def test_the_metrics_have_reconstruction_kl_multiplier_and_constraint(tmp_path: Path) -> None:
    run = trained("svgp", SETTINGS["svgp"], tmp_path / "run")
    row = read_metrics(run.dir / "metrics.jsonl")[-1]
    assert {"reconstruction", "kl", "mse", "multiplier", "constraint", "validation_elbo"} <= row.keys()
    assert row["train_bound"] == pytest.approx(row["reconstruction"] - row["kl"], abs=1e-3)  # pyright: ignore


def test_the_terms_of_a_resumed_epoch_are_those_since_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    settings = {**SETTINGS["svgp"], "train.epochs": 1}
    whole = train(config("svgp", settings), tmp_path / "whole", data=DATA, device="cpu")
    with pytest.raises(Cancelled):
        train(config("svgp", settings), tmp_path / "stopped", data=DATA, device="cpu", progress=StopAfter(2))
    resume(tmp_path / "stopped", device="cpu")
    a, b = (read_metrics(folder / "metrics.jsonl")[-1] for folder in (whole, tmp_path / "stopped"))
    for name in ("reconstruction", "mse"):
        assert b[name] == pytest.approx(a[name], rel=0.5)  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.parametrize("kind", ["bernoulli", "continuous_bernoulli"])
def test_a_density_of_shares_is_refused_for_pixels_beyond_them(kind: str, tmp_path: Path) -> None:
    settings = {**SETTINGS["gp-vae"], "likelihood.kind": kind, "train.epochs": 1}
    beyond = replace(DATA, test=replace(DATA.test, images=DATA.test.images - np.float32(0.5)))
    with pytest.raises(
        UserError, match=rf"'{kind}' is of pixels in \[0, 1\], and those of 'series' are from -0\.\d+ to"
    ):
        train(config("gp-vae", settings), tmp_path / "run", data=beyond, device="cpu")
    assert not (tmp_path / "run").exists()
    train(config("gp-vae", settings), tmp_path / "run", data=DATA, device="cpu")


def test_a_loaded_run_has_its_process(tmp_path: Path) -> None:
    run = trained("svgp", SETTINGS["svgp"], tmp_path / "run")
    assert run.meta.columns == DATA.columns
    assert isinstance(run.model.extra, GPModel)
    assert float(run.model.extra.prior.inputs.tables["object"].abs().sum()) > 0


def test_a_gp_prior_predicts_images_at_held_out_times(tmp_path: Path) -> None:
    """On one smooth function of time, decoding the prediction is far better than the mean image."""
    settings = {
        "prior.kernel": "rbf(time, length_scale=1)",
        "inference.points": 12,
        "train.epochs": 150,
        "train.lr": 5e-3,
        "train.batch_size": 64,
    }
    run = trained("svgp", settings, tmp_path / "run")
    first, last = run.metrics[0], max(run.metrics, key=lambda row: row["validation_elbo"])
    mean_image = DATA.train.pixels().mean(0)
    residual = float((DATA.validation.pixels() - mean_image).square().mean())
    # The score of a Gaussian of the best constant image with its own deviation, in nats an image.
    pixels = mean_image.numel()
    by_mean_image = -0.5 * pixels * (1 + float(torch.log(torch.tensor(2 * torch.pi * residual))))
    assert last["validation_elbo"] > first["validation_elbo"]
    assert last["validation_elbo"] > by_mean_image + 3


@pytest.mark.parametrize("method", ["gp-vae", "svgp:4"])
def test_groups_are_scored_by_their_bound_of_which_the_kl_is_taken(method: str) -> None:
    engine = inference(method, BY_TIME)
    vae, split, index = engine._setup.vae, engine._setup.validation, torch.arange(len(engine._setup.validation))
    assert isinstance(vae.extra, GPModel)
    with torch.no_grad():
        _, inputs, rows = engine.arranged(split, index, engine.pseudo_observations(split))
        kl = float(vae.extra.family.approximate(vae.extra.prior, inputs, rows, 1.0).kl.sum())
        z = sample(engine.latents(split), torch.Generator().manual_seed(0)).float()
        fit = float(vae.likelihood.log_prob(split.all(), vae.decode(z)).double().sum())
    assert kl > 0.1
    assert engine.score() == pytest.approx((fit - kl) / len(split), rel=1e-5)


def test_a_family_that_decodes_means_is_scored_at_them() -> None:
    """Before, it was scored at samples, whose variance its decoder never met."""
    deep = inference("deep-svigp", SETTINGS["deep-svigp"])
    free = inference("hensman", SETTINGS["hensman"])
    assert deep.score() == deep.score()
    vae, split = deep._setup.vae, deep._setup.validation
    q = deep.latents(split)
    x = split.batch(torch.arange(len(split)))
    assert isinstance(vae.likelihood, GaussianLikelihood)
    fit = vae.likelihood.log_prob(x, vae.decode(q.mean.float())).double()
    wanted = (fit - 0.5 * q.variance.sum(1) / vae.likelihood.sigma_x.double().square()).mean()
    assert deep.score() == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert free.score() != deep.score()


@pytest.mark.parametrize("method", ["vae", "gp", "cvae", "mapa:20"])
def test_a_method_that_takes_images_one_by_one_refuses_the_prior(method: str) -> None:
    """Before, the prior was written into the config and had no effect."""
    with pytest.raises(UserError, match=r"prior\.kind|prior"):
        config(method, {"prior.kind": "gp", "prior.kernel": "rbf(time)"})


def test_data_without_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="method 'svgp' wants data with auxiliary columns"):
        config("svgp", {}).build((1, 8, 8))
