"""Missing frames are as if they were not there, and missing pixels have no influence at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.methods import methods
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_metrics
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.missing_data import DROPPED, HOLED, on, seen
from tests.inference.gp_prior.series_data import (
    BY_OBJECT,
    BY_TIME,
    BY_VIEW,
    CPU,
    DATA,
    conditional,
    config,
    inference,
    model,
)
from tests.inference.gp_prior.test_families import METHODS
from tests.inference.gp_prior.test_training import SETTINGS, StopAfter

CASES: list[tuple[str, dict[str, Any]]] = [
    ("cvae", BY_OBJECT),
    ("cvae", {}),
    ("gp-vae", BY_TIME),
    ("markov", BY_TIME),
    ("titsias", {**BY_TIME, "inference.points": 4}),
    ("svgp", {**BY_TIME, "inference.points": 4}),
    ("svgp", {**BY_VIEW, "inference.points": 4}),
    ("svgp", {**BY_VIEW, "inference.points": 4, "inference.balance": "geco"}),
    ("gp-vae", {"prior.kernel": "rbf(time)"}),
    ("hensman", {**BY_VIEW, "inference.points": 4}),
    ("deep-svigp", {**BY_VIEW, "inference.points": 4}),
    ("gppvae", BY_VIEW),
]
LIKELIHOODS = ["gaussian", "bernoulli", "continuous_bernoulli"]


def built(method: str, settings: dict[str, Any], data: Dataset) -> VAE:
    with on(data):
        return model(method, settings)


def step_of(
    method: str, settings: dict[str, Any], vae: VAE, data: Dataset, index: Tensor
) -> tuple[Tensor, Tensor, Any]:
    """The bound of each seen image, the surrogate and its gradients."""
    with on(data):
        step = conditional(method, settings, vae).step(index, BoundSettings(), torch.Generator().manual_seed(1))
    named = {name: p for name, p in vae.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(step.bound.surrogate, list(named.values()), allow_unused=True)
    return step.bound.value, step.bound.surrogate.detach(), dict(zip(named, found, strict=True))


def assert_same(a: Any, b: Any, exactly: bool = False) -> None:
    atol, rtol = (0.0, 0.0) if exactly else (1e-6, 1e-5)
    torch.testing.assert_close(a[0], b[0], atol=atol, rtol=rtol)
    torch.testing.assert_close(a[1], b[1], atol=atol, rtol=rtol)
    for name, gradient in a[2].items():
        assert (gradient is None) == (b[2][name] is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, b[2][name], atol=atol, rtol=rtol, msg=name)


@pytest.mark.parametrize(("method", "settings"), CASES)
def test_a_missing_frame_is_a_dropped_one(method: str, settings: dict[str, Any]) -> None:
    """The model at its start, the bound and all gradients."""
    with_holes, without = (built(method, settings, data) for data in (HOLED, DROPPED))
    for name, value in with_holes.state_dict().items():
        torch.testing.assert_close(value, without.state_dict()[name], msg=name)
    a = step_of(method, settings, with_holes, HOLED, torch.arange(len(HOLED.train)))
    b = step_of(method, settings, without, DROPPED, torch.arange(len(DROPPED.train)))
    assert len(a[0]) == len(DROPPED.train) < len(HOLED.train)
    assert_same(a, b)


def test_a_missing_frame_of_a_mini_batch_is_a_dropped_one() -> None:
    """b and N of eq. 9 count the frames with pixels."""
    settings = {**BY_VIEW, "inference.points": 4}
    vae = built("svgp", settings, HOLED)
    rows = seen(HOLED.train)
    a = step_of("svgp", settings, vae, HOLED, torch.arange(int(rows[6]) + 1))
    assert_same(a, step_of("svgp", settings, vae, DROPPED, torch.arange(7)))


@pytest.mark.parametrize(("method", "settings"), CASES)
def test_latents_of_others_are_as_without_it_and_its_own_are_predicted(method: str, settings: dict[str, Any]) -> None:
    vae = built(method, settings, HOLED)
    with on(HOLED):
        with_holes = conditional(method, settings, vae)
    with on(DROPPED):
        without = conditional(method, settings, vae)
    split, dropped = DeviceSplit(HOLED.test, CPU), DeviceSplit(DROPPED.test, CPU)
    q, expected = with_holes.latents(split), without.latents(dropped)
    rows = torch.from_numpy(seen(HOLED.test))
    torch.testing.assert_close(q.mean[rows], expected.mean)
    torch.testing.assert_close(q.variance[rows], expected.variance)
    if "prior.group" not in settings:
        return
    assert isinstance(vae.extra, GPModel)
    assert isinstance(without, GPPriorInference)
    pseudo, prior = without.pseudo_observations(dropped), vae.extra.prior
    with torch.no_grad():
        for gap in np.setdiff1d(np.arange(len(HOLED.test)), rows):
            mates = dropped.columns["series"] == split.columns["series"][gap]
            kept = type(pseudo)(pseudo.mean[:, mates], pseudo.precision[:, mates])
            inputs = prior.at(columns_of(dropped))[mates]
            found = vae.extra.family.given(prior, inputs, kept).predict(prior.at(columns_of(split))[gap : gap + 1])
            torch.testing.assert_close(q.mean[gap], found.mean[:, 0])
            torch.testing.assert_close(q.variance[gap], found.variance[:, 0])


@pytest.mark.parametrize("kind", LIKELIHOODS)
@pytest.mark.parametrize(("method", "settings"), CASES[:8])
def test_what_is_stored_at_missing_pixels_has_no_influence(method: str, settings: dict[str, Any], kind: str) -> None:
    """Not one bit of the start, the bound, the gradients, the score and the latents."""
    assert HOLED.train.observed is not None
    settings = {**settings, "likelihood.kind": kind}
    noise = np.random.default_rng(7)
    changed = [
        replace(part, images=np.where(part.observed[:, None], part.images, noise.random(part.images.shape, np.float32)))
        for part in (HOLED.train, HOLED.validation, HOLED.test)
        if part.observed is not None
    ]
    other = replace(HOLED, train=changed[0], validation=changed[1], test=changed[2])
    first, second = (built(method, settings, data) for data in (HOLED, other))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    index = torch.arange(len(HOLED.train))
    a, b = (step_of(method, settings, v, d, index) for v, d in ((first, HOLED), (second, other)))
    assert_same(a, b, exactly=True)
    scores, means = [], []
    for data in (HOLED, other):
        with on(data):
            engine = conditional(method, settings, first)
        scores.append(engine.score())
        means.append(engine.latents(DeviceSplit(data.test, CPU)).mean)
    assert scores[0] == scores[1]
    assert torch.equal(means[0], means[1])


def test_the_terms_are_sums_and_means_over_observed_pixels_by_hand() -> None:
    """Reconstruction and square error of the metrics, with each image's pixels one by one."""
    settings = {**BY_TIME, "likelihood.kind": "bernoulli"}
    vae = built("gp-vae", settings, HOLED)
    with on(HOLED):
        engine = inference("gp-vae", settings, vae)
        engine.step(torch.arange(len(HOLED.train)), BoundSettings(), torch.Generator().manual_seed(1))
        figures = engine.figures()
        split = DeviceSplit(HOLED.train, CPU)
        _, q = engine._terms(vae, split, torch.arange(len(split)), 1.0, torch.Generator().manual_seed(1))
    rows = seen(HOLED.train)
    eps = torch.randn((len(rows), 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = q.mean[rows] + q.variance[rows].sqrt() * eps
    shown = vae.decode(z.float()).sigmoid().detach()[:, 0]
    log_p, errors = [], []
    assert HOLED.train.observed is not None
    for image, mask, y in zip(shown, HOLED.train.observed[rows], HOLED.train.pixels(rows)[:, 0], strict=True):
        pixels = [(p, t) for p, t, there in zip(image.ravel(), y.ravel(), mask.ravel(), strict=True) if there]
        log_p.append(sum(float(t * p.log() + (1 - t) * (1 - p).log()) for p, t in pixels))
        errors.append(np.mean([float((t - p) ** 2) for p, t in pixels]))
    assert figures["reconstruction"] == pytest.approx(np.mean(log_p), rel=1e-5)
    assert figures["mse"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_missing_frames_are_in_no_batch() -> None:
    for method, settings in (("svgp", BY_VIEW), ("svgp", BY_TIME), ("cvae", {})):
        with on(HOLED):
            batches = conditional(method, settings).batches(torch.Generator().manual_seed(0), 5)
        assert torch.cat(list(batches)).sort().values.tolist() == seen(HOLED.train).tolist()
    with on(HOLED), pytest.raises(UserError, match=f"at least the {len(DROPPED.train)} training images"):
        inference("gp-vae", BY_VIEW).batches(torch.Generator(), 5)


@pytest.mark.parametrize("method", [*METHODS, "cvae"])
def test_it_trains_and_resumes_with_means_over_the_frames_with_pixels(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"train.batch_size": 8, **SETTINGS.get(method, {})}
    monkeypatch.setattr("gpvae_core.training.load", lambda _: HOLED)
    whole = train(config(method, settings), tmp_path / "whole", data=HOLED, device="cpu")
    with pytest.raises(Cancelled):
        train(config(method, settings), tmp_path / "stopped", data=HOLED, device="cpu", progress=StopAfter(1))
    resume(tmp_path / "stopped", device="cpu")
    first, second = (load_run(f, "last", "cpu").model.state_dict() for f in (whole, tmp_path / "stopped"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    row = read_metrics(whole / "metrics.jsonl")[-1]
    assert row["train_bound"] == pytest.approx(row["reconstruction"] - row["kl"], abs=1e-3)  # pyright: ignore


def test_other_methods_refuse_in_one_line_that_names_those_that_do_not(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        train(config("vae", {}), tmp_path / "run", data=HOLED, device="cpu")
    assert "images have missing pixels, which this method would learn as black" in str(error.value)
    assert all(name in str(error.value) for name in METHODS)
    assert set(METHODS) <= methods().keys()
    assert "\n" not in str(error.value)
    nothing = replace(HOLED.validation, observed=np.zeros_like(HOLED.validation.images[:, 0], dtype=np.bool_))
    with pytest.raises(UserError, match="wanted validation images with observed pixels, got missing frames alone"):
        train(config("svgp", BY_VIEW), tmp_path / "run", data=replace(HOLED, validation=nothing), device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_start_of_vectors_is_the_mean_over_observed_pixels() -> None:
    from gpvae_core.inference.gp_prior.vectors import _codes, _mean_images

    train_split, codes = HOLED.train, _codes(HOLED.train, "object")
    assert train_split.observed is not None
    found = _mean_images(train_split, codes)
    pixels, mask = DATA.train.images.reshape(len(codes), -1), train_split.observed.reshape(len(codes), -1)
    for category in range(3):
        for pixel in range(16):
            there = pixels[(codes == category) & mask[:, pixel], pixel]
            assert found[category, pixel] == pytest.approx(there.mean() if len(there) else found.mean(), rel=1e-5)
