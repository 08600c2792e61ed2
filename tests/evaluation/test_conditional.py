"""The evaluation of runs with a GP prior: a known predictive distribution, the yardsticks, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from gpvae_core.api import train as train_run
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import ConditionalEvaluation, evaluate_conditional
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import sample
from gpvae_core.inference.gp_prior.gppvae import LowRank
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.peak import peak_bytes
from gpvae_core.progress import silent
from gpvae_core.run_files import read_json
from gpvae_core.run_folder import RunFolder
from gpvae_core.runs import Run, load_run
from gpvae_core.validation import DeviceSplit
from tests.commands import gpvae
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, SHAPE, inference, trained

A = 0.3 * torch.randn(2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class LinearDecoder(nn.Module):
    """y = 1/2 + z A, whose predictive distribution for Gaussian z is Gaussian."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (0.5 + z @ A.to(z)).reshape(-1, *SHAPE)


@pytest.fixture
def linear(tmp_path: Path) -> Run:
    """A run of svgp with a linear decoder."""
    run = trained("svgp", {**BY_VIEW, "inference.points": 4}, tmp_path / "run")
    run.model.decoder = LinearDecoder()
    return run


def test_scores_are_those_of_the_gaussian_predictive_distribution(linear: Run) -> None:
    result = evaluate_conditional(linear, k=4000)
    engine = inference("svgp", {**BY_VIEW, "inference.points": 4}, linear.model)
    q = engine.latents(DeviceSplit(DATA.test, CPU))
    sigma = float(linear.model.likelihood.noise_scale() or 0)
    y = DATA.test.pixels().flatten(1).double()
    mean = 0.5 + q.mean @ A
    covariance = A.T @ torch.diag_embed(q.variance) @ A + sigma**2 * torch.eye(16).double()
    density = MultivariateNormal(mean, covariance).log_prob(y)
    assert result.mse.mean == pytest.approx(float((y - mean).square().mean()), rel=1e-5)
    assert result.nlpd.mean == pytest.approx(-float(density.mean()), abs=0.2)
    std = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    inside = ((y - mean).abs() < 1.96 * std).double().mean()
    assert result.coverage.mean == pytest.approx(float(inside), abs=0.005)
    assert result.given == "the training images"
    assert result.path_rmse is None


@pytest.mark.parametrize("count", [1, 2, 3, 40, 41, 100, 4000])
def test_the_interval_of_samples_is_that_of_their_quantiles(count: int) -> None:
    from gpvae_core.evaluation.conditional import _interval

    drawn = torch.randn(count, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for samples in (drawn, (drawn > 1.5).float()):
        expected = torch.quantile(samples, torch.tensor([0.025, 0.975]), dim=0)
        torch.testing.assert_close(torch.stack(_interval(samples)), expected)


def test_a_pixel_at_an_end_of_its_interval_is_inside(tmp_path: Path) -> None:
    settings = {**BY_VIEW, "inference.points": 4, "likelihood.kind": "bernoulli"}
    run = trained("svgp", settings, tmp_path / "run")
    run.model.decoder = Sure()
    black = replace(DATA.test, images=np.zeros_like(DATA.test.images))
    run._data = replace(DATA, test=black)
    assert evaluate_conditional(run, k=5).coverage.mean == 1.0


class Sure(nn.Module):
    """Logits of pixels that are black."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z[:, :1] * 0 - 50).expand(-1, 16).reshape(-1, *SHAPE)


@pytest.mark.parametrize("k", [1, 4])
def test_a_sample_decoded_is_worse_than_the_mean_by_the_variance_on_average(linear: Run, k: int) -> None:
    several = [evaluate_conditional(linear, k=k, seed=seed) for seed in range(40)]
    q = inference("svgp", {**BY_VIEW, "inference.points": 4}, linear.model).latents(DeviceSplit(DATA.test, CPU))
    spread = float((q.variance @ A.square()).mean())
    excess = np.mean([(r.mse_sample.mean or 0) - (r.mse.mean or 0) for r in several])
    assert excess == pytest.approx(spread, rel=0.3)


def test_the_yardsticks_are_their_formulas(linear: Run) -> None:
    yardsticks = evaluate_conditional(linear, k=1).yardsticks
    train, test = DATA.train, DATA.test
    error = (test.pixels() - train.pixels().mean(0)).square().mean()
    assert yardsticks.mean_image.mean == pytest.approx(float(error), rel=1e-4)
    assert yardsticks.nearest_view is not None
    assert yardsticks.nearest_view.n == 0, "series of the test are new"


def test_a_view_is_rotated_counter_clockwise_by_the_difference_of_the_angles() -> None:
    from gpvae_core.data.auxiliary import Auxiliary, Column
    from gpvae_core.data.split import Split
    from gpvae_core.evaluation.yardsticks import yardsticks

    rng, column = np.random.default_rng(0), Column("angle", "number", period=2 * np.pi, unit="rad")

    def views(images: np.ndarray, angles: list[float]) -> Split:
        return Split(images, np.zeros(len(images), np.int64), 1, Auxiliary((column,), {"angle": np.array(angles)}))

    seen = rng.uniform(0, 1, (1, 1, 5, 5)).astype(np.float32)
    turned = np.stack([np.rot90(seen[0], k, (1, 2)) for k in (1, -1)])
    old = views(seen, [0.1])
    found = yardsticks(old, views(turned, [0.1 + np.pi / 2, 0.1 + 1.5 * np.pi]), old)
    assert found.nearest_view is not None
    assert found.nearest_view_rotated is not None
    assert found.nearest_view.mean == pytest.approx(np.square(turned - seen).mean(), rel=1e-5)
    assert (found.nearest_view_rotated.mean or 0) < 1e-10


def test_nearest_views_share_the_categories_and_wrap_at_the_period() -> None:
    from gpvae_core.data.auxiliary import Auxiliary, Column
    from gpvae_core.evaluation.yardsticks import _nearest

    columns = (Column("angle", "number", period=6.0), Column("object", "category", names=("a", "b", "c")))

    def auxiliary(angles: list[float], objects: list[int]) -> Auxiliary:
        return Auxiliary(columns, {"angle": np.array(angles), "object": np.array(objects, np.int64)})

    train = auxiliary([0.1, 3.0, 5.0, 0.2], [0, 0, 0, 1])
    found, nearest = _nearest(train, auxiliary([5.8, 0.2, 4.0], [0, 1, 2]), [columns[0]], np.ones(4, np.bool_))
    assert found.tolist() == [True, True, False]
    assert nearest[:2].tolist() == [0, 3]


def test_groups_are_reconstructed_from_their_own_frames(tmp_path: Path) -> None:
    run = trained("gp-vae", BY_TIME, tmp_path / "run")
    result = evaluate_conditional(run, "validation", k=2)
    assert result.given == "all frames of the same series, themselves among them"
    assert result.path_rmse is not None
    assert result.mse.n == len(DATA.validation)
    assert result.yardsticks.nearest_view is None
    again = ConditionalEvaluation.from_json(json.loads(json.dumps(result.to_json())))
    assert again == result


def test_the_cost_of_the_training_is_that_of_its_passes_and_the_most_memory_of_its_process(tmp_path: Path) -> None:
    run = trained("gp-vae", {**BY_TIME, "train.epochs": 2}, tmp_path / "run")
    cost = evaluate_conditional(run, "validation", k=1).training
    assert cost.seconds_per_epoch == run.metrics[-1]["seconds"] / 2
    peak = peak_bytes()
    assert peak is not None
    assert 0 < (cost.peak_memory or 0) <= peak
    meta = read_json(run.dir / "meta.json")
    assert meta.pop("peak_memory") == cost.peak_memory
    for before, now in ((10**12, 10**12), (1, peak)):  # as it is resumed by a process that takes less, or more
        (run.dir / "meta.json").write_text(json.dumps({**meta, "peak_memory": before}))
        RunFolder(run.dir, run.config).update_meta(CPU, 1.0)
        assert read_json(run.dir / "meta.json")["peak_memory"] == pytest.approx(now, rel=0.2)
    (run.dir / "meta.json").write_text(json.dumps(meta))
    older = load_run(run.dir)
    older._data = DATA
    assert evaluate_conditional(older, "validation", k=1).training.peak_memory is None


def test_the_path_is_found_up_to_an_affine_map() -> None:
    assert DATA.test.auxiliary is not None
    path = torch.from_numpy(DATA.test.auxiliary["place"])
    mapped = path @ torch.tensor([[0.0, 2.0], [-3.0, 0.5]]).double() + 7
    assert path_error(mapped) == pytest.approx(0.0, abs=1e-9)
    noisy = mapped + torch.tensor([[0.0, 2.0], [-3.0, 0.5]]).double()[0] * torch.randn(len(path), 1).double()
    # Of an affine fit, the residual of each coordinate is orthogonal to the latents and to 1.
    given = torch.column_stack([noisy, torch.ones(len(path))])
    left = path - given @ torch.linalg.solve(given.T @ given, given.T @ path)
    found = path_error(noisy)
    assert found == pytest.approx(float((left.square().sum() / left.numel()).sqrt()))
    assert (found or 0) > 0.1


def path_error(mean: torch.Tensor) -> float | None:
    """The error of latents with this mean, of which all are scored."""
    from gpvae_core.evaluation.conditional import _path_rmse, _Task

    q = Marginals(mean, torch.ones_like(mean))
    return _path_rmse(q, _Task(q, torch.arange(len(mean)), "", None), DATA.test)


def test_other_runs_and_splits_are_refused(linear: Run) -> None:
    with pytest.raises(UserError, match="did you mean 'test'"):
        evaluate_conditional(linear, "tset")  # pyright: ignore[reportArgumentType]
    vae = train_run("vae", "digits", settings={"epochs": 1}, progress=silent)
    with pytest.raises(UserError, match="has no GP prior"):
        evaluate_conditional(vae)


def test_fewer_than_one_instance_is_refused(tmp_path: Path) -> None:
    run = trained("svgp", {**BY_VIEW, "inference.points": 4}, tmp_path / "run")
    with pytest.raises(UserError, match="wanted at least 1 instance to be measured, got 0"):
        evaluate_conditional(run, k=1, instances=0)


def test_the_command_prints_it_and_refuses_what_has_no_effect(tmp_path: Path) -> None:
    small = ["--set", "net.kind=fc", "--set", "net.hidden=8", "--set", "batch_size=1050"]
    done = gpvae("train", "--method", "gp-vae", "--dataset", "moving-ball", "--epochs", "1", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = "runs/moving-ball-gp-vae-d2-s0"
    done = gpvae("evaluate", run, "--split", "validation", "--k", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mse, mean decoded" in done.stdout
    assert "given all frames of the same video, themselves among them" in done.stdout
    done = gpvae("evaluate", run, "--split", "validation", "--k", "2", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert {"mse", "nlpd", "coverage", "path_rmse"} <= found.keys()
    assert found["kernel"]["rbf(time).length_scale"]["unit"] == "frames"
    done = gpvae("evaluate", run, "--as-published", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "kept no weights over training" in done.stderr
    done = gpvae("evaluate", run, "--hmc", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--hmc has no effect without log p(x) of single images, which no run with a GP prior has" in done.stderr


def test_measures_of_instances_come_where_a_method_has_them(tmp_path: Path) -> None:
    run = trained("svgp", {**BY_VIEW, "inference.points": 4, "train.batch_size": 7}, tmp_path / "svgp")
    result = evaluate_conditional(run, k=1, instances=2)
    found = result.instances
    assert found is not None
    assert found.views is not None
    assert found.pseudo_gap is not None
    assert found.batch_bias is not None
    assert (found.pseudo_gap.of, found.pseudo_gap.gap.n, found.batch_bias.batch_size) == ("training image", 2, 7)
    assert found.batch_bias.index == found.pseudo_gap.index
    assert 1 <= (found.views.effective.mean or 0) <= len(DATA.train)
    assert ConditionalEvaluation.from_json(json.loads(json.dumps(result.to_json()))) == result
    grouped = evaluate_conditional(trained("gp-vae", BY_TIME, tmp_path / "gp"), k=1, instances=3).instances
    assert grouped is not None
    assert grouped.pseudo_gap is not None
    assert (grouped.pseudo_gap.of, len(grouped.pseudo_gap.values), grouped.batch_bias) == ("series", 3, None)
    free = trained("hensman", {**BY_VIEW, "inference.points": 4}, tmp_path / "hensman")
    without = evaluate_conditional(free, k=1, instances=3).instances
    assert without is not None
    assert (without.views, without.pseudo_gap, without.batch_bias) == (None, None, None)
    assert evaluate_conditional(free, k=1).instances is None


def test_a_conditional_vae_has_no_kernel_and_no_measures_of_instances(tmp_path: Path) -> None:
    settings = {"inference.condition": "angle", "train.epochs": 2, "train.keep_every": 1}
    run = trained("cvae", settings, tmp_path / "run")
    result = evaluate_conditional(run, k=1, published=True)
    assert result.kernel is None
    assert result.as_published is not None
    assert list(result.as_published.by_epoch) == [1, 2]
    with pytest.raises(UserError, match="has no GP prior: wanted a run of a method with one"):
        evaluate_conditional(run, k=1, instances=2)


def test_the_kernel_is_reported_with_its_units(tmp_path: Path) -> None:
    kernel = "matern(time, nu=1.5, length_scale=2) + rbf(time, length_scale=5, learn=false) * periodic(angle) + white()"
    run = trained("svgp", {"prior.kernel": kernel, "inference.points": 4}, tmp_path / "run")
    found = evaluate_conditional(run, k=1).kernel
    assert found is not None
    assert found["rbf(time).length_scale"].to_json() == {"value": pytest.approx(5.0), "unit": "s", "learned": False}
    assert (found["matern(time).length_scale"].unit, found["matern(time).length_scale"].learned) == ("s", True)
    assert found["matern(time).length_scale"].value == pytest.approx(2.0, rel=0.1)
    assert found["periodic(angle).length_scale"].unit is None
    assert {"white().variance", "matern(time).variance", "periodic(angle).variance"} <= found.keys()


def test_as_published_is_the_smallest_error_of_the_kept_epochs(tmp_path: Path) -> None:
    settings = {**BY_VIEW, "inference.points": 4, "train.epochs": 4, "train.keep_every": 2}
    run = trained("svgp", settings, tmp_path / "run")
    result = evaluate_conditional(run, k=1, published=True).as_published
    assert result is not None
    assert list(result.by_epoch) == run.kept_epochs == [2, 4]
    assert result.mse.mean == pytest.approx(min(result.by_epoch.values()))
    assert result.by_epoch[result.epoch] == min(result.by_epoch.values())
    assert (result.decoded, result.label) == ("sample", "as published: chosen on the test set")
    q = inference("svgp", {**BY_VIEW, "inference.points": 4}, load_run(run.dir, epoch=4).model)
    z = sample(q.latents(DeviceSplit(DATA.test, CPU)), torch.Generator().manual_seed(0))
    with torch.no_grad():
        shown = run.model.likelihood.mean(load_run(run.dir, epoch=4).model.decode(z.float()))
    assert result.by_epoch[4] == pytest.approx(float((shown - DATA.test.pixels()).square().mean()))
    means = trained("deep-svigp", settings, tmp_path / "deep")
    assert (evaluate_conditional(means, k=1, published=True).as_published or result).decoded == "mean"
    noisy = trained("gppvae", {**BY_VIEW, "train.epochs": 1, "train.keep_every": 1}, tmp_path / "gppvae")
    found = evaluate_conditional(noisy, k=1, published=True).as_published
    assert found is not None
    assert found.decoded == "sample"
    assert isinstance(noisy.model.extra, GPModel)
    family = noisy.model.extra.family
    assert isinstance(family, LowRank)
    q = inference("gppvae", BY_VIEW, noisy.model).latents(DeviceSplit(DATA.test, CPU))
    without = Marginals(q.mean, q.variance - family.alpha().detach())
    with torch.no_grad():
        shown = noisy.model.likelihood.mean(
            noisy.model.decode(sample(without, torch.Generator().manual_seed(0)).float())
        )
    assert found.mse.mean == pytest.approx(float((shown - DATA.test.pixels()).square().mean()), rel=1e-5)
    with pytest.raises(UserError, match="kept no weights over training"):
        evaluate_conditional(trained("svgp", BY_VIEW, tmp_path / "none"), k=1, published=True)
    by_group = trained("gp-vae", {**BY_TIME, "train.epochs": 2, "train.keep_every": 1}, tmp_path / "groups")
    assert list((evaluate_conditional(by_group, k=1, published=True).as_published or result).by_epoch) == [1, 2]
