"""Synthetic points: the formulas of C.1, the surrogates that stand for them, draws, and what a run on them is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from gpvae_core.cli.main import main
from gpvae_core.config import make_config
from gpvae_core.data.base import DATASETS, DataConfig, load
from gpvae_core.data.synthetic import curves
from gpvae_core.data.synthetic.broken_lines import Hinges, start_network
from gpvae_core.data.synthetic.examples import CURVES, EXAMPLES, decode, draw
from gpvae_core.data.synthetic.fit import fit_surrogate
from gpvae_core.data.synthetic.surrogate import (
    ARCHITECTURE,
    EVENT_SHAPE,
    MAX_MSE,
    load_surrogate,
    save_surrogate,
    weights_file,
)
from gpvae_core.errors import UserError
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.truth.line import Line
from gpvae_core.vae import GenerativeModel

VARIANTS = [("circle", "circle-fold"), ("absolute-value", "absolute-value-fold")]


def gpvae(*arguments: str) -> int | str | None:
    """The exit code of `gpvae ...`."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def at(z: float) -> np.ndarray:
    return np.array([z])


def by_hand(name: str, z: float) -> tuple[float, float]:
    """Eq. 31-35 with the scalar functions of the standard library."""
    phi = 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))
    if name == "figure-8":
        u = (0.6 + 1.8 * phi) * math.pi
        bottom = math.sin(u) ** 2 + 1
        return math.sqrt(2) / 2 * math.cos(u) / bottom, math.sqrt(2) * math.cos(u) * math.sin(u) / bottom
    if name == "circle":
        return math.cos(2 * math.pi * phi), math.sin(2 * math.pi * phi)
    if name == "absolute-value":
        return abs(phi), abs(phi)
    sides = {"clusters": 2, "spiral-dots": 4}[name]
    u = sides * math.pi / (1 + math.exp(-0.5 * math.pi * z))
    i = math.floor(u / 2)
    t = math.tanh(10 * u - 20 * i - 10) + 2 * i + 1
    return (math.cos(2 * t), math.sin(2 * t)) if name == "clusters" else (t * math.cos(t), t * math.sin(t))


@pytest.mark.parametrize("name", ["figure-8", "circle", "absolute-value", "clusters", "spiral-dots"])
def test_curves_are_the_formulas_of_the_paper(name: str) -> None:
    for z in (-2.3, -1.1, -0.2, 0.0, 0.37, 0.9, 1.8):
        np.testing.assert_allclose(CURVES[name](at(z))[0], by_hand(name, z), atol=1e-12)


@pytest.mark.parametrize(("name", "steps"), [("clusters", 4), ("spiral-dots", 7)])
def test_steps_end_in_clusters_and_dots(name: str, steps: int) -> None:
    z = np.random.default_rng(0).standard_normal(4000)
    label, x = EXAMPLES[name].class_of(z), CURVES[name](z)
    assert set(label) == set(range(steps)) == set(range(len(EXAMPLES[name].class_names)))
    t = 4.0 * label if name == "clusters" else 2.0 * label
    radius = np.ones(len(t)) if name == "clusters" else t
    centre = radius[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    assert (np.linalg.norm(x - centre, axis=1) < 0.1).mean() > 0.75


@pytest.mark.parametrize("name", CURVES)
def test_surrogates_are_within_the_papers_error(name: str) -> None:
    """By another rule than that of the package: fresh normal draws, and a weighted even grid out to the tails."""
    net = load_surrogate(name, CURVES[name])
    for z, weight in (
        (np.random.default_rng(1).standard_normal(50_000), np.full(50_000, 1 / 50_000)),
        (grid := np.linspace(-6, 6, 60_001), norm.pdf(grid) * (grid[1] - grid[0])),
    ):
        square = np.square(decode(net, z) - CURVES[name](z)).mean(1)
        assert (weight * square).sum() < MAX_MSE
    assert all(not parameter.requires_grad for parameter in net.parameters())
    assert [tuple(p.shape) for p in net.parameters()] == [
        tuple(p.shape) for p in ARCHITECTURE.decoder(1, EVENT_SHAPE).parameters()
    ]


def test_weights_that_are_not_the_curve_are_refused(tmp_path: Path) -> None:
    save_surrogate(load_surrogate("circle", CURVES["circle"]), "figure-8", tmp_path)
    with pytest.raises(UserError, match=r"below 0.0001, got .*fit it again with: gpvae data surrogates figure-8"):
        load_surrogate("figure-8", CURVES["figure-8"], tmp_path)
    weights_file("circle", tmp_path).write_bytes(b"junk")
    weights_file("figure-8", tmp_path).write_bytes(weights_file("figure-8").read_bytes() + bytes(1 << 20))
    for name in ("circle", "clusters", "figure-8"):
        with pytest.raises(UserError, match=f"the surrogate network of '{name}' cannot be read"):
            load_surrogate(name, CURVES[name], tmp_path)


def test_broken_lines_go_through_their_points() -> None:
    x = np.array([-1.0, 0.0, 0.5, 3.0])
    y = np.array([[2.0, 0.0], [-1.0, 1.0], [4.0, 1.5], [0.0, -2.0]])
    np.testing.assert_allclose(Hinges.through(x, y)(x), y, atol=1e-12)
    np.testing.assert_allclose(Hinges.through(x, y)(np.array([1.75])), [[2.0, -0.25]], atol=1e-12)


@pytest.mark.slow
def test_fitting_begins_close_and_ends_closer_and_repeats() -> None:
    curve = CURVES["absolute-value-fold"]
    z = np.random.default_rng(0).standard_normal(2000)
    begin = np.square(decode(start_network(curve, 0), z) - curve(z)).mean()
    fits = [fit_surrogate("fold", curve, good=1e-6, most=50) for _ in range(2)]
    assert begin < 1e-4
    assert np.square(decode(fits[0].net, z) - curve(z)).mean() < 0.5 * begin
    assert all(map(torch.equal, fits[0].net.parameters(), fits[1].net.parameters()))
    with pytest.raises(UserError, match=r"wanted a surrogate of 'jump' with a mean squared error below 0.0001, got"):
        fit_surrogate("jump", lambda z: 40.0 * np.stack([np.sign(np.sin(60 * z)), np.cos(90 * z)], axis=1), most=50)


@pytest.mark.parametrize("name", EXAMPLES)
def test_draws_follow_the_model(name: str) -> None:
    one = draw(name, 4000, 3)
    noise = one.points.reshape(-1, 2) - decode(EXAMPLES[name].decoder(), one.latents[:, 0])
    assert kstest(one.latents[:, 0], "norm").pvalue > 1e-3
    assert kstest(noise.ravel() / EXAMPLES[name].sigma, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(one.latents[:, 0], noise[:, 0])[0, 1]) < 0.06
    same, other, part = draw(name, 4000, 3), draw(name, 4000, 4), draw(name, 4000, 3, part=1)
    assert np.array_equal(same.points, one.points)
    assert not np.array_equal(other.points, one.points)
    assert not np.array_equal(part.points, one.points)


@pytest.mark.parametrize(("first", "second"), VARIANTS)
def test_variants_have_the_same_points_and_density_but_other_latents(first: str, second: str) -> None:
    one, two = draw(first, 2000, 0), draw(second, 2000, 0)
    assert np.array_equal(one.points, two.points)
    z1, z2 = one.latents[:, 0], two.latents[:, 0]
    np.testing.assert_allclose(CURVES[first](z1), CURVES[second](z2), atol=1e-9)
    assert 0.4 < (z2 > 0).mean() < 0.6
    x = torch.from_numpy(one.points)
    log_p, log_q = (Line.build(_model(name)).log_px(x) for name in (first, second))
    kl = float((log_p - log_q).mean())
    assert abs(kl) < 3e-4
    assert float((log_p - log_q).abs().quantile(0.95)) < 0.1
    assert (
        float((Line.build(_model(first)).moments(x).mean - Line.build(_model(second)).moments(x).mean).abs().max()) > 1
    )


def _model(name: str) -> GenerativeModel:
    data = load(DataConfig(name=name))
    assert data.truth is not None
    return ground_truth(data.truth, data.event_shape)


def test_a_fold_keeps_the_tails() -> None:
    z = np.array([-8.0, -1.0, 0.0, 1.0, 8.0])
    for sign in (1.0, -1.0):
        folded = curves.folded_latents(z, np.full(5, sign))
        np.testing.assert_allclose(np.abs(2 * norm.cdf(folded) - 1), norm.cdf(z), atol=1e-12)
        assert (folded * sign >= 0).all()
        assert np.isfinite(folded).all()


@pytest.mark.parametrize("name", EXAMPLES)
def test_as_data_sets(name: str) -> None:
    data = load(DataConfig(name=name, split_seed=5))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1000] * 3
    assert data.train.images.shape == (1000, 1, 1, 2)
    assert data.train.images.dtype == np.float32
    assert data.note.startswith("synthetic points")
    assert data.truth is not None
    assert data.truth.train.shape == (1000, 1)
    assert not np.array_equal(data.truth.train, data.truth.validation)
    model = ground_truth(data.truth, data.event_shape)
    assert model.likelihood.noise_scale() == pytest.approx(EXAMPLES[name].sigma)
    for part, z in ((data.train, data.truth.train), (data.test, data.truth.test)):
        off = part.pixels() - model.decode(torch.from_numpy(z).float())
        assert float(off.std()) == pytest.approx(EXAMPLES[name].sigma, rel=0.1)
    again, other = load(DataConfig(name=name, split_seed=5)), load(DataConfig(name=name, split_seed=6))
    assert again.fingerprint == data.fingerprint != other.fingerprint
    source = DATASETS.get(name)
    assert (source.present(), source.is_images, source.shape) == ("built in", False, EVENT_SHAPE)


def test_what_cannot_be_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="'circle' has 1000 validation points of its own"):
        load(DataConfig(name="circle", validation_fraction=0.2))
    with pytest.raises(UserError, match="did you mean 'figure-8'"):
        draw("figure8", 10, 0)
    with pytest.raises(UserError, match="wanted at least 1 point of 'circle', got 0"):
        draw("circle", 0, 0)
    with pytest.raises(UserError, match="wanted a seed of 0 or more, got -1"):
        draw("circle", 5, -1)
    with pytest.raises(UserError, match="fixed size"):
        load(DataConfig(name="circle", size=8))


@pytest.mark.parametrize("method", ["vae", "iwae:50", "gp"])
def test_a_run_has_the_truths_settings_unless_asked(method: str) -> None:
    config = make_config(method, DataConfig(name="spiral-dots"), EVENT_SHAPE)
    assert (config.latent_dim, config.net) == (1, ARCHITECTURE)
    assert (config.train.epochs, config.train.batch_size, config.train.lr) == (500, 100, 1e-3)
    assert config.to_json()["likelihood"] == {"kind": "gaussian", "sigma_x": 0.1, "learn_sigma_x": False}
    requested = make_config(
        method, DataConfig(name="circle"), EVENT_SHAPE, {"latent_dim": 2, "epochs": 3, "hidden": 20}
    )
    assert (requested.latent_dim, requested.train.epochs, requested.net.model_dump()["hidden"]) == (2, 3, 20)


@pytest.mark.parametrize("method", ["vae", pytest.param("iwae:5", marks=pytest.mark.slow), "gp"])
def test_runs_on_points_train_and_are_evaluated_along_the_line(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(method, DataConfig(name="figure-8"), EVENT_SHAPE, {"epochs": 2})
    run = load_run(train(config, tmp_path / "run"), device="cpu")
    assert not run.is_images
    evaluated = ["evaluate", str(run.dir), "--instances", "4", "--device", "cpu", "--k", "5"]
    assert gpvae(*evaluated, "--json") == 0
    actual = json.loads(capsys.readouterr().out)
    assert actual["log_px"]["truth"] == "line"
    assert actual["checks"]["line"] == {"failed": 0, "n": 4}
    assert actual["gaps"]["inference"]["mean"] > -1e-3
    x = run.data.test.pixels(np.random.default_rng(0).permutation(1000)[:4])
    assert actual["log_px"]["mean"] == pytest.approx(float(Line.build(run.model).log_px(x).mean()))
    assert gpvae(*evaluated, "--truth", "grid") == 2
    assert "1 latent dimension, got 'grid': quadrature needs exactly 2" in capsys.readouterr().err


def test_the_command_line_lists_and_refits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpvae("data", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(EXAMPLES) <= set(rows)
    assert all(rows[name]["available"] == "built in" and rows[name]["shape"] == [1, 1, 2] for name in EXAMPLES)
    assert gpvae("data", "surrogates", "absolute-value", "--out", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "absolute-value: mean squared error" in said
    assert "(wanted below 0.0001)" in said
    load_surrogate("absolute-value", CURVES["absolute-value"], tmp_path)
    assert gpvae("data", "surrogates", "circl") == 2
    assert "unknown surrogate 'circl'; did you mean 'circle'" in capsys.readouterr().err
