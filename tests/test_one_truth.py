"""One run has one truth: whoever is asked, the same image and seed have the same log p(x), at every d."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gpvae_core.cli.main import app
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.evaluation.sample import evaluate_sample
from gpvae_core.gaps import GapTable
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.gap_lab.lab import GapLab
from gpvae_core.inspection.gap_lab.methods import decoders
from gpvae_core.progress import silent
from gpvae_core.runs import Run, load_run
from gpvae_core.sweep.config import ScoreConfig
from gpvae_core.sweep.work import truth_scores
from gpvae_core.training import train
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.posterior_samples import HMCSettings

DATA = load(DataConfig(name="digits"))
SEED, SOME, MANY = 5, 4, 40
Same = Callable[[Any, Any], None]
KINDS = {1: "line", 2: "grid", 3: "ais", 10: "ais"}
TOLERANCE = {"line": 1e-9, "grid": 1e-4, "ais": 1e-9}
"""Nats. On one machine chains of annealing are the same to the last bit; the grid's product of an atlas and a batch of
images is in float32, whose rounding depends on the batch's size."""


@pytest.fixture(scope="module", params=[1, 2, pytest.param(3, marks=pytest.mark.slow), 10], ids=lambda d: f"d={d}")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = {"epochs": 2, "net.hidden": 16, "latent_dim": request.param}
    config = make_config("vae", DataConfig(name="digits"), DATA.event_shape, settings)
    return load_run(train(config, tmp_path_factory.mktemp("one") / f"vae{request.param}", data=DATA), device="cpu")


@pytest.fixture(scope="module")
def index() -> np.ndarray:
    """The seeded sample of test images that evaluation and sweeps take."""
    return np.random.default_rng(SEED).permutation(len(DATA.test))[:SOME]


@pytest.fixture(scope="module")
def gaps(run: Run, index: np.ndarray) -> GapTable:
    """What all are compared with: each image by itself."""
    tables = [run.gaps(DATA.test.pixels([i])[0], SEED) for i in index]
    assert {table.truth for table in tables} == {KINDS[run.model.latent_dim]}
    return GapTable(**{**vars(tables[0]), "log_px": np.concatenate([table.log_px for table in tables])})


@pytest.fixture(scope="module")
def same(run: Run) -> Same:
    tolerance = TOLERANCE[KINDS[run.model.latent_dim]]
    return lambda actual, expected: np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_a_batch_gives_each_image_what_it_has_alone(run: Run, index: np.ndarray, gaps: GapTable, same: Same) -> None:
    for order in ([0, 1, 2, 3], [3, 1], [2, 0, 1]):
        same(run.gaps(DATA.test.pixels(index[order]), SEED).log_px, gaps.log_px[order])
    other = run.gaps(DATA.test.pixels(index), SEED + 1).log_px
    assert (np.abs(other - gaps.log_px) > 1e-6).all() != run.truth.exact


def test_the_best_gaussians_are_the_same_in_every_batch(run: Run) -> None:
    """Their ascent takes decisions, which must not hang on how a batch is rounded; more images see more of them."""
    x = DATA.test.pixels(range(MANY))
    whole = best_gaussians(run.model, x, SEED)
    log_px = run.truth.log_px(x, SEED, best=whole).log_px
    for part in ([7], [11], [5, 3], [*range(MANY - 1, 0, -3)], [*range(MANY)][::-1]):
        some = best_gaussians(run.model, x[part], SEED)
        for name in BestGaussians.__dataclass_fields__:
            actual, expected = getattr(some, name), getattr(whole, name)[part]
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6, msg=f"{name} in {part}")
        if not run.truth.exact:
            actual = run.truth.log_px(x[part], SEED, best=some).log_px
            np.testing.assert_allclose(actual, log_px[part], rtol=0, atol=1e-9)


def test_samples_of_the_posterior_are_the_same_in_every_batch(run: Run) -> None:
    x, settings = DATA.test.pixels([4, 9, 2]), HMCSettings(warmup=10, draws=10, leapfrog=3)
    whole = run.posterior_samples(x, settings, SEED)
    for part in ([1], [2, 0]):
        some = run.posterior_samples(x[part], settings, SEED)
        torch.testing.assert_close(some.z, whole.z[:, :, part], rtol=0, atol=1e-6)
    assert not torch.equal(run.posterior_samples(x, settings, SEED + 1).z, whole.z)


def test_gpvae_evaluate(run: Run, index: np.ndarray, gaps: GapTable, same: Same) -> None:
    sample = evaluate_sample(run, DATA.test, SOME, SOME, SEED, silent, run.truth)
    np.testing.assert_array_equal(sample.gaps.index, index)
    same(sample.gaps.log_px, gaps.log_px)
    arguments = ["evaluate", str(run.dir), "--instances", str(SOME), "--seed", str(SEED), "--k", "2", "--json"]
    more = ["--truths", str(SOME)] if run.model.latent_dim == 2 else []
    result = CliRunner().invoke(app, [*arguments, *more])
    assert result.exit_code == 0, result.output
    log_px = json.loads(result.stdout)["log_px"]
    same(log_px["mean"], gaps.log_px.mean())
    assert log_px["truth"] == gaps.truth


def test_a_sweeps_score(run: Run, gaps: GapTable, same: Same) -> None:
    actual = truth_scores(run, DATA, ScoreConfig(seed=SEED, truths=SOME), silent)
    same(actual["truth_log_px"], gaps.log_px.mean())
    assert (actual["truth"], actual["truth_images"]) == (gaps.truth, SOME)
    assert (actual["truth_error"] is None) == run.truth.exact
    assert truth_scores(run, DATA, ScoreConfig(seed=SEED), silent) == {}


def test_the_explorer(run: Run, index: np.ndarray, gaps: GapTable, same: Same) -> None:
    explorer = Explorer(run, seed=SEED)
    for i, expected in zip(index, gaps.log_px, strict=True):
        instance = explorer.instance(int(i))
        quick = explorer.gap_view(instance)
        assert quick.exact == run.truth.exact
        explorer.best_gaussian(instance)
        view = explorer.gap_view(instance)
        same(view.log_px, expected)
        assert view.log_px_truth == gaps.truth
        assert (view.log_px_se is None) == run.truth.exact
        if run.truth.exact:
            same(quick.log_px, expected)


def test_the_gap_lab(run: Run, same: Same) -> None:
    lab = GapLab(decoders({"one": run})[0], {"one": run}, seed=SEED, sample=3)
    expected = run.gaps(DATA.validation.pixels(lab.sample), SEED)
    same(lab.sample_reference().table.log_px, expected.log_px)
    same(lab.stacks(["one"], int(lab.sample[1])).log_px.mean, expected.log_px[1])
    assert lab.stacks(["one"], int(lab.sample[1])).exact == run.truth.exact


def test_the_true_posterior(run: Run, index: np.ndarray, gaps: GapTable, same: Same) -> None:
    if not run.truth.exact:
        return
    actual = run.true_posterior(DATA.test.pixels(index))
    assert isinstance(actual, list)
    same([one.log_px for one in actual], gaps.log_px)
