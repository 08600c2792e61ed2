"""The MAPA Lab's numbers against loops over points, closed forms and integrals found in another way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.data.synthetic import linear
from gpvae_core.data.synthetic.examples import EXAMPLES, decode, draw
from gpvae_core.errors import UserError
from gpvae_core.evaluation.density import density_report, density_scores
from gpvae_core.inspection.mapa_lab import bounds
from gpvae_core.inspection.mapa_lab.density import grid_log_px
from gpvae_core.inspection.mapa_lab.images import ImageLab
from gpvae_core.inspection.mapa_lab.kl import kl_curves
from gpvae_core.inspection.mapa_lab.points import SETS, PointLab, fits
from gpvae_core.inspection.mapa_lab.process import paper_processes
from gpvae_core.inspection.mapa_lab.views import MapaSettings
from gpvae_core.likelihoods import Likelihood
from gpvae_core.runs import Run
from gpvae_core.truth.line import EXTENT, MAX_END_MASS, PANEL
from tests.inspection.conftest import make_run
from tests.mapa.test_comparison import fill
from tests.oracles import LinearGaussianVAE

CHOICE = MapaSettings(bandwidth=0.15, k=3, draws=5, seed=2)


@pytest.fixture(scope="module")
def lab() -> PointLab:
    return PointLab("figure-8", 40, 1)


def log_normal(x: Iterable[float], mean: Iterable[float], sigma: float) -> float:
    """log N(x; mean, sigma^2 I), written out."""
    scale = math.log(sigma * math.sqrt(2 * math.pi))
    return sum(-0.5 * ((a - b) / sigma) ** 2 - scale for a, b in zip(x, mean, strict=True))


def by_loops(lab: PointLab, x: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p(x|z_i), p(i|n) of eq. 7 and q(i|n) of eq. 8, one training point after the other."""
    f = decode(lab.example.decoder(), lab.truth.codes)
    log_p = np.array([log_normal(x, f[i], lab.sigma) for i in range(lab.size)])
    k = [math.exp(log_normal(x, lab.points[i], bandwidth)) for i in range(lab.size)]
    p = [math.exp(value) for value in log_p]
    return log_p, np.array(p) / sum(p), np.array(k) / sum(k)


# -- posteriors of points ----------------------------------------------------------------------------------------------


def test_index_posteriors_and_their_numbers_are_those_of_loops(lab: PointLab) -> None:
    chosen = lab.chosen(7)
    view = lab.traces(chosen, CHOICE)
    log_p, p, q = by_loops(lab, chosen.x, CHOICE.bandwidth)
    lift = math.log(40) - 0.5 * view.z**2 - 0.5 * math.log(2 * math.pi)
    for shown, index in ((view.empirical, p), (view.mapa, q)):
        seen = np.isfinite(shown)
        assert seen.sum() >= 5
        np.testing.assert_allclose(shown[seen], (np.log(index) + lift)[seen], atol=1e-5)
    assert view.numbers.kl == pytest.approx(
        sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0), rel=1e-5
    )
    assert view.numbers.kl_reverse == pytest.approx(
        sum(b * math.log(b / a) for a, b in zip(p, q, strict=True) if b > 0), rel=1e-5
    )
    entropy = -sum(a * math.log(a) for a in p if a > 0)
    assert view.numbers.kl_uniform == pytest.approx(math.log(40) - entropy, rel=1e-5)
    assert view.numbers.effective == pytest.approx(math.exp(entropy), rel=1e-5)
    assert view.numbers.head_mass == pytest.approx(np.sort(q)[-3:].sum(), rel=1e-6)
    assert view.numbers.head_mass_true == pytest.approx(p[np.argsort(-q)[:3]].sum(), rel=1e-5)
    assert view.numbers.log_px_empirical == pytest.approx(math.log(np.exp(log_p).mean()), abs=1e-5)


def test_the_k_most_probable_and_the_drawn_make_the_bound_of_eq_10(lab: PointLab) -> None:
    chosen = lab.chosen(11)
    view = lab.traces(chosen, CHOICE)
    log_p, _, q = by_loops(lab, chosen.x, CHOICE.bandwidth)
    assert view.head.tolist() == np.argsort(-q, kind="stable")[:3].tolist()
    assert len(view.drawn) == 5
    assert not set(view.drawn) & set(view.head)
    rest = 1.0 - q[view.head].sum()
    total = sum(math.exp(log_p[i]) for i in view.head) / 40
    total += sum(math.exp(log_p[i]) / (q[i] / rest) for i in view.drawn) / (40 * 5)
    assert view.numbers.bound == pytest.approx(math.log(total), abs=1e-5)
    # The mean over draws is the expectation of eq. 10; a single draw may lie above the exact value.
    gap, one_each = view.numbers.gap, []
    generator = np.random.default_rng(0)
    outside = np.setdiff1d(np.arange(40), view.head)
    for _ in range(4000):
        drawn = generator.choice(outside, size=5, p=q[outside] / rest)
        each = sum(math.exp(log_p[i]) for i in view.head) + sum(math.exp(log_p[i]) * rest / q[i] for i in drawn) / 5
        one_each.append(view.numbers.log_px_empirical - math.log(each / 40))
    assert gap.se is not None
    assert abs(gap.mean - np.mean(one_each)) < 4 * gap.se + 1e-6
    again, other = lab.traces(chosen, CHOICE), lab.traces(chosen, replace(CHOICE, seed=3))
    assert again.drawn.tolist() == view.drawn.tolist()
    assert other.drawn.tolist() != view.drawn.tolist()


def test_the_line_is_the_closed_form_of_a_linear_model() -> None:
    lab = PointLab("linear-gaussian", 30, 0)
    chosen = lab.chosen_at(0.4, -0.6)
    view = lab.traces(chosen, MapaSettings(0.3, 1, 0))
    mean, variance = linear.posterior(chosen.x[None])
    seen = np.isfinite(view.line)
    exact = -0.5 * (view.line_z - mean[0]) ** 2 / variance - 0.5 * math.log(2 * math.pi * variance)
    np.testing.assert_allclose(view.line[seen], exact[seen], atol=1e-5)
    assert np.nanmax(view.line) - np.nanmin(view.line) <= 30.0
    assert view.numbers.log_px == pytest.approx(linear.log_px(chosen.x[None])[0], abs=1e-5)
    assert chosen.index is None
    assert "x = (0.40, -0.60)" in view.title


def test_points_are_the_data_sets_own_and_a_smaller_lab_has_the_first_of_them() -> None:
    data = load(DataConfig(name="circle", split_seed=4))
    big, small = PointLab("circle", 1000, 4), PointLab("circle", 50, 4)
    np.testing.assert_array_equal(big.points, data.train.images.reshape(-1, 2))
    np.testing.assert_array_equal(small.points, big.points[:50])
    assert data.truth is not None
    np.testing.assert_array_equal(big.truth.codes, data.truth.train[:, 0])
    assert PointLab.open("circle", 50, 4) is PointLab.open("circle", 50, 4)
    assert big.nearest(*big.points[123]) == 123


def test_plane_has_the_neighbours_and_the_true_density(lab: PointLab) -> None:
    chosen = lab.chosen(7)
    view, traces = lab.plane(chosen, CHOICE), lab.traces(chosen, CHOICE)
    assert (view.head.tolist(), view.drawn.tolist()) == (traces.head.tolist(), traces.drawn.tolist())
    np.testing.assert_allclose(np.exp(view.log_q), by_loops(lab, chosen.x, CHOICE.bandwidth)[2], atol=1e-12)
    i, j = 31, 77
    assert view.log_density[i, j] == pytest.approx(lab.truth.log_px(np.array([[view.x[j], view.y[i]]]))[0], abs=1e-6)
    cell = (view.x[1] - view.x[0]) * (view.y[1] - view.y[0])
    assert np.exp(view.log_density).sum() * cell == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("name", SETS)
def test_every_set_opens_and_its_best_bandwidth_is_below_its_extent(name: str) -> None:
    lab = PointLab(name, 60, 0)
    view = lab.traces(lab.chosen(0), MapaSettings(lab.sigma, 5, 5))
    assert np.isfinite(view.empirical).any()
    assert view.numbers.kl >= 0.0
    assert 0.0 < lab.best_bandwidth() < float(np.ptp(lab.points, axis=0).max())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bandwidth": 0.0}, "bandwidth above 0"),
        ({"bandwidth": math.nan}, "bandwidth above 0"),
        ({"k": 41}, "k: wanted at most 40"),
        ({"k": -1}, "k from 0"),
        ({"draws": -1}, "S of at least 0"),
        ({"draws": 20_000}, "S: wanted at most 10,000"),
        ({"k": 40}, "leaves no points to sample"),
        ({"k": 0, "draws": 0}, "leave no point for the bound"),
    ],
)
def test_bad_choices_are_one_clear_line(lab: PointLab, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        lab.traces(lab.chosen(0), replace(CHOICE, **wrong))


def test_bad_points_and_sets_are_one_clear_line(lab: PointLab) -> None:
    for attempt, words in (
        (lambda: lab.chosen(40), "from 0 to 39"),
        (lambda: lab.chosen_at(math.inf, 0.0), "finite"),
        (lambda: PointLab.open("figure-9"), "figure-8"),
        (lambda: PointLab.open("circle", 1), "2 to 10,000"),
        (lambda: PointLab.open("circle", 10, -1), "seed of 0 or more"),
        (lambda: lab.process(coordinate=2), "coordinate 0"),
        (lambda: lab.process(draws=0), "1 to 12 points"),
        (lambda: lab.process(noise=0.0), "noise scale above 0"),
    ):
        with pytest.raises(UserError, match=words):
            attempt()


# -- variants ----------------------------------------------------------------------------------------------------------


def test_variants_share_points_and_mapa_but_not_latents() -> None:
    lab = PointLab("circle", 40, 0)
    first, second = lab.variants(lab.chosen(3), CHOICE).variants
    assert (first.name, second.name) == ("circle", "circle-fold")
    np.testing.assert_array_equal(second.trace.z, draw("circle-fold", 1000, 0).latents[:40, 0])
    log_q = lab.plane(lab.chosen(3), CHOICE).log_q
    for variant in (first, second):
        lift = math.log(40) - 0.5 * variant.trace.z**2 - 0.5 * math.log(2 * math.pi)
        seen = np.isfinite(variant.trace.mapa)
        np.testing.assert_allclose(variant.trace.mapa[seen], (log_q + lift)[seen])
        f = decode(EXAMPLES[variant.name].decoder(), variant.curve_z)
        np.testing.assert_allclose(variant.curve, f, atol=1e-9)
    assert np.abs(first.trace.z - second.trace.z).min() > 0
    assert first.trace.numbers.kl == pytest.approx(second.trace.numbers.kl, abs=0.1)
    backwards = PointLab("circle-fold", 40, 0).variants(lab.chosen(3), CHOICE)
    assert [one.name for one in backwards.variants] == ["circle-fold", "circle"]


def point_run(folder: Path, name: str = "figure-8", seed: int = 0) -> Run:
    data = load(DataConfig(name=name, split_seed=seed))
    config = make_config("vae", DataConfig(name=name, split_seed=seed), data.event_shape, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = config.build(data.event_shape)
    return make_run(folder / f"{name}-{seed}", config, model, data)


def test_a_trained_run_stands_as_another_variant(tmp_path: Path, lab: PointLab) -> None:
    run = point_run(tmp_path, seed=1)
    assert fits(run)
    view = lab.variants(lab.chosen(3), CHOICE, run)
    learned = view.variants[1].trace
    x = torch.from_numpy(lab.points).float().reshape(-1, 1, 1, 2)
    codes = run.model.infer(x).mean[:, 0].double().numpy()
    np.testing.assert_allclose(learned.z, codes, atol=1e-6)
    p = np.exp(
        [
            log_normal(lab.points[3], f, lab.sigma)
            for f in run.model.decode(x.new_tensor(codes)[:, None]).flatten(1).numpy()
        ]
    )
    lift = math.log(40) - 0.5 * codes**2 - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(learned.empirical, np.log(p / p.sum()) + lift, atol=1e-3)
    other = lab.variants(lab.chosen(3), CHOICE, point_run(tmp_path, seed=2))
    assert "was trained on draw 2" in other.note
    assert "choose a trained run" in lab.variants(lab.chosen(3), CHOICE).note
    with pytest.raises(UserError, match="run on the points of figure-8"):
        lab.variants(lab.chosen(3), CHOICE, point_run(tmp_path, "clusters"))


def test_density_of_a_run_and_its_test_kl_by_another_quadrature(tmp_path: Path, lab: PointLab) -> None:
    run = point_run(tmp_path, seed=1)
    view = lab.density(run)
    few = view.points[:5]
    z = torch.linspace(-8.0, 8.0, 20_001, dtype=torch.float64)

    def log_px(decoder: torch.nn.Module, x: np.ndarray) -> np.ndarray:
        f = decode(decoder, z.numpy())
        joint = np.array([[log_normal(one, row, lab.sigma) for row in f] for one in x]) + (-0.5 * z**2).numpy()
        return np.log(np.exp(joint).sum(1) * 16.0 / 20_000 / math.sqrt(2 * math.pi))

    model, truth = log_px(run.model.decoder, few), log_px(lab.example.decoder(), few)
    line = lab._learned(run)
    np.testing.assert_allclose(line.log_px(few), model, atol=1e-4)
    both = lab.truth.log_px(view.points) - line.log_px(view.points)
    np.testing.assert_allclose(both[:5], truth - model, atol=1e-4)
    assert view.test_kl.mean == pytest.approx(both.mean())
    assert view.test_kl.se == pytest.approx(both.std(ddof=1) / math.sqrt(len(both)))
    np.testing.assert_allclose(grid_log_px(line, few[:1, 0], few[:1, 1])[0, 0], line.log_px(few[:1])[0], atol=1e-6)


def test_no_kl_averages_in_points_whose_quadrature_failed(tmp_path: Path, lab: PointLab) -> None:
    """With g(z) = W z + b, |W| = 0.1, the posterior of a far point lies beyond the line; log p(x) is in closed form."""
    run, data = point_run(tmp_path, seed=1), load(DataConfig(name="figure-8", split_seed=1))
    w = torch.tensor([[0.06], [0.08]], dtype=torch.float64)
    oracle = LinearGaussianVAE(w, -14.0 * w[:, 0], lab.sigma, data.event_shape)
    run = make_run(tmp_path / "far", run.config, oracle.vae(), data)
    x = data.test.pixels()
    model, true = oracle.log_px(x).numpy(), lab.truth.log_px(x.flatten(1).numpy())
    std = oracle.posterior_covariance[0, 0].sqrt()
    inner, end = ((EXTENT - width - oracle.posterior_mean(x)[:, 0].abs()) / std for width in (PANEL, 0.0))
    in_last_panel = (torch.special.ndtr(-inner) - torch.special.ndtr(-end)) / torch.special.ndtr(end)
    passed = in_last_panel.numpy() <= MAX_END_MASS
    assert 5 < passed.sum() < len(x) - 5, "some pass, some fail"
    assert np.abs(run.truth.log_px(x).log_px - model)[~passed].max() > 0.1, "and those that fail are wrong"
    expected = (true - model)[passed]
    scores = density_scores(run, data)
    report = density_report(run, data.test, np.arange(len(x)), np.arange(0))
    view = lab.density(run)
    assert scores["test_kl"] == pytest.approx(expected.mean(), abs=1e-4)
    assert report.test_kl["line"].mean == pytest.approx(expected.mean(), abs=1e-4)
    assert (report.test_kl["line"].n, report.density["line"].failed) == (passed.sum(), (~passed).sum())
    assert view.test_kl.mean == pytest.approx(expected.mean(), abs=1e-4)
    assert view.failed == (~passed).sum()


# -- the generative process --------------------------------------------------------------------------------------------


def test_both_variants_of_figure_one_share_points_and_density() -> None:
    first, second = paper_processes(seed=3, draws=5)
    np.testing.assert_allclose(first.observed, second.observed)
    np.testing.assert_allclose(np.exp(first.log_px), np.interp(first.x, second.x, np.exp(second.log_px)), atol=0.03)
    np.testing.assert_allclose(first.means, (0.5 - first.latents) ** 2)
    np.testing.assert_allclose(second.means, 0.25 * second.latents**2)
    np.testing.assert_allclose(first.observed, first.means + first.noise)
    assert np.abs(first.latents - second.latents).max() > 0.05
    np.testing.assert_allclose(first.mapa, second.mapa)
    assert paper_processes(seed=4)[0].latents.tolist() != first.latents[:4].tolist()


@pytest.mark.parametrize("which", [0, 1])
def test_densities_of_the_process_integrate_to_one_and_its_posteriors_are_bayes(which: int) -> None:
    for view in (paper_processes(seed=1)[which], PointLab("clusters", 10, 0).process(which, seed=1, draws=3)):
        step, across = view.z[1] - view.z[0], view.x[1] - view.x[0]
        assert np.exp(view.log_px).sum() * across == pytest.approx(1.0, abs=2e-3)
        np.testing.assert_allclose(np.exp(view.log_posterior).sum(1) * step, 1.0, atol=1e-9)
        np.testing.assert_allclose(view.mapa.sum(1), 1.0)
    paper = paper_processes(seed=1)[which]
    for n in range(4):
        log_p = np.array([log_normal([paper.observed[n]], [f], paper.sigma) for f in paper.f])
        p = np.exp(log_p - log_p.max())
        np.testing.assert_allclose(np.exp(paper.log_posterior[n]), p / p.sum() / (paper.z[1] - paper.z[0]), atol=1e-9)
        k = [math.exp(log_normal([paper.observed[n]], [x], paper.sigma)) for x in paper.observed]
        np.testing.assert_allclose(paper.mapa[n], np.array(k) / sum(k))
        k = [math.exp(log_normal([paper.observed[n]], [f], paper.sigma)) for f in paper.means]
        np.testing.assert_allclose(paper.empirical[n], np.array(k) / sum(k))


# -- bound and passes --------------------------------------------------------------------------------------------------


def test_bounds_lie_below_the_exact_value_tighten_with_s_and_are_exact_by_the_true_posterior(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "REPEATS", 4)
    lab = PointLab("figure-8", 60, 0)
    view = lab.bound(MapaSettings(lab.sigma, 4, 10))
    curves = {(one.method, one.rule): one for one in view.curves}
    assert len(curves) == 9
    for rule in ("k = 10 % of S", "k = 90 % of S", "k = 4"):
        for gap in curves["MAPA-GT", rule].gap:
            assert abs(gap.mean) < 1e-9
        mapa, naive = curves["MAPA", rule], curves["MAPA-naive", rule]
        assert mapa.gap[0].mean > mapa.gap[3].mean > mapa.gap[-1].mean > -0.02
        assert naive.gap[0].mean > 2.0 * mapa.gap[0].mean
        assert mapa.bound[0].mean == pytest.approx(view.empirical.mean - mapa.gap[0].mean)
    assert curves["MAPA", "k = 90 % of S"].k.tolist() == [1, 2, 4, 9, 18, 45]
    assert curves["MAPA", "k = 90 % of S"].draws.tolist() == [1, 2, 5, 10, 20, 50]
    assert (view.points, view.repeats) == (60, 4)
    exact = [math.log(np.exp(by_loops(lab, x, 1.0)[0]).mean()) for x in lab.points]
    assert view.empirical.mean == pytest.approx(np.mean(exact), abs=1e-5)
    assert view.empirical.se == pytest.approx(np.std(exact, ddof=1) / math.sqrt(60), abs=1e-5)
    assert view.true.mean == pytest.approx(lab.truth.log_px(lab.points).mean())


def test_passes_of_iwae_are_s_and_mapa_needs_no_more_than_n_a_batch() -> None:
    view = PointLab("circle", 300, 0).passes(0.1)
    curves = {one.method: one for one in view.curves}
    iwae, most = curves["IWAE"], curves["MAPA max"]
    assert [one.mean for one in iwae.decoder] == iwae.draws.tolist()
    assert [one.mean for one in iwae.both] == (iwae.draws + 1).tolist()
    assert {one.mean for one in most.decoder} == {3.0}
    few, many = curves["MAPA, k = 10 % of S"], curves["MAPA, k = 90 % of S"]
    assert 1.0 <= few.decoder[0].mean <= 2.0
    for curve in (few, many):
        means = [one.mean for one in curve.decoder]
        assert min(np.diff(means)) > -0.01, "more samples need more codes, but for chance"
        assert means[-1] <= 3.0
        assert [2 * mean for mean in means] == pytest.approx([one.mean for one in curve.both])
    with pytest.raises(UserError, match="bandwidth above 0"):
        PointLab("circle", 300, 0).passes(0.0)


def test_test_kl_against_s_comes_from_a_comparison(tmp_path: Path) -> None:
    assert kl_curves(tmp_path / "nowhere", "figure-8") is None
    fill(tmp_path)
    view = kl_curves(tmp_path, "figure-8")
    assert view is not None
    assert [name for name, _ in view.flat] == ["vae"]
    (iwae,) = view.curves
    assert (iwae.method, iwae.draws.tolist(), iwae.n) == ("iwae", [10.0, 50.0], (3, 3))
    assert iwae.kl[0].mean == pytest.approx((0.25 + 0.27 + 0.24) / 3)
    assert kl_curves(tmp_path, "circle") is None


# -- a trained image model ---------------------------------------------------------------------------------------------


def loops_over_images(run: Run, index: int, log_kernel: Callable[[np.ndarray, np.ndarray], float]) -> tuple[Any, Any]:
    """q(i|n) and p(i|n) of a test image over the training images, one after the other."""
    train, likelihood = run.data.train, run.model.likelihood
    x = run.data.test.pixels([index])
    codes = run.model.infer(train.pixels()).mean
    log_p = _log_likelihoods(likelihood, x, run.model.decode(codes))
    log_k = np.array([log_kernel(x[0].double().numpy(), image) for image in train.pixels().double().numpy()])
    p, k = np.exp(log_p - log_p.max()), np.exp(log_k - log_k.max())
    return k / k.sum(), p / p.sum()


def _log_likelihoods(likelihood: Likelihood, x: torch.Tensor, g: torch.Tensor) -> np.ndarray:
    return np.array([float(likelihood.double().log_prob(x.double(), one.double()[None])) for one in g])


def test_neighbours_of_an_image_are_those_of_loops(digits_run: Callable[..., Run]) -> None:
    run = digits_run("vae", latent_dim=3)
    lab = ImageLab(run)
    (slider,) = lab.sliders
    assert lab.defaults == {"bandwidth": pytest.approx(float(run.model.likelihood.noise_scale() or 0))}
    view = lab.neighbours(5, {"bandwidth": 0.4}, 6)
    q, p = loops_over_images(run, 5, lambda a, b: -0.5 * ((a - b) ** 2).sum() / 0.4**2)
    for items, index in ((view.mapa, q), (view.empirical, p)):
        assert [one.index for one in items] == np.argsort(-index, kind="stable")[:6].tolist()
        np.testing.assert_allclose([one.probability for one in items], np.sort(index)[::-1][:6], rtol=2e-2)
    assert view.kl == pytest.approx(float(np.sum(p * np.log(p / q), where=p > 0)), rel=1e-2)
    assert view.overlap == len({one.index for one in view.mapa} & {one.index for one in view.empirical})
    first = view.mapa[0]
    x, other = run.data.test.pixels([5]), run.data.train.pixels([first.index])
    assert first.distance == pytest.approx(float((x - other).square().mean().sqrt()), rel=1e-5)
    apart = run.model.infer(x).mean - run.model.infer(other).mean
    assert first.latent_distance == pytest.approx(float(apart.norm()), rel=1e-4)
    assert first.label == run.data.class_names[int(run.data.train.labels[first.index])]
    np.testing.assert_array_equal(first.image, other[0].numpy())
    assert slider.logarithmic
    assert view.note == ""


def test_the_best_kernel_is_the_nearest_to_the_model_of_those_tried(digits_run: Callable[..., Run]) -> None:
    run = digits_run("vae", latent_dim=2)
    lab = ImageLab(run)
    best, (slider,) = lab.best()["bandwidth"], lab.sliders
    tried = (slider.low, 0.5 * best, best, slider.high)
    kls = [np.mean([lab.neighbours(i, {"bandwidth": b}, 1).kl for i in range(12)]) for b in tried]
    assert min(kls) == kls[2]
    assert kls[0] > 2.0 * kls[2]
    assert lab.best() == {"bandwidth": best}


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_the_map_of_codes_marks_the_neighbours(digits_run: Callable[..., Run], latent_dim: int) -> None:
    run = digits_run("vae", latent_dim=latent_dim)
    lab = ImageLab(run)
    view = lab.neighbours(2, lab.defaults, 4)
    codes = lab.codes(view, 2)
    assert codes.index[codes.mapa].tolist() == [one.index for one in view.mapa]
    assert codes.index[codes.empirical].tolist() == [one.index for one in view.empirical]
    assert codes.xy.shape == (len(run.data.train), 2)
    own = run.model.infer(run.data.test.pixels([2])).mean[0].double().numpy()
    if latent_dim < 3:
        np.testing.assert_allclose(codes.place[:latent_dim], own, atol=1e-6)
    else:
        near = np.linalg.norm(codes.xy[codes.mapa] - codes.place, axis=1)
        assert all(a <= one.latent_distance + 1e-6 for a, one in zip(near, view.mapa, strict=True))
        assert "principal components" in codes.note


def test_grey_images_have_the_continuous_bernoulli_kernel(tmp_path: Path) -> None:
    data = load(DataConfig(name="digits"))
    config = make_config(
        "vae", DataConfig(name="digits"), data.event_shape, {"hidden": 16, "likelihood.kind": "continuous_bernoulli"}
    )
    model = config.build(data.event_shape)
    lab = ImageLab(make_run(tmp_path / "cb", config, model, data))
    assert [slider.name for slider in lab.sliders] == ["temperature", "rho"]
    view = lab.neighbours(1, {"temperature": 2.0, "rho": 0.9}, 5)

    def log_kernel(x: np.ndarray, centre: np.ndarray) -> float:
        lam = 0.1 + 0.8 * centre
        g = np.log(lam / (1 - lam))
        small = np.abs(g) < 1e-4
        safe = np.where(small, 1.0, g)
        log_partition = np.where(small, 0.5 * g, np.log(np.expm1(safe) / safe))
        return float((x * g - log_partition).sum() / 2.0)

    q, _ = loops_over_images(lab.run, 1, log_kernel)
    np.testing.assert_allclose([one.probability for one in view.mapa], np.sort(q)[::-1][:5], rtol=1e-3)
    assert "temperature 2" in view.kernel


def test_bad_input_to_the_image_lab_is_one_clear_line(digits_run: Callable[..., Run], tmp_path: Path) -> None:
    lab = ImageLab(digits_run("vae"))
    for attempt, words in (
        (lambda: lab.neighbours(24, lab.defaults, 5), "from 0 to 23"),
        (lambda: lab.neighbours(0, lab.defaults, 0), "1 to 50 neighbours"),
        (lambda: lab.neighbours(0, lab.defaults, 51), "1 to 50 neighbours"),
        (lambda: lab.neighbours(0, {"bandwidth": 0.0}, 5), "bandwidth above 0"),
        (lambda: lab.neighbours(0, {"rho": 0.9}, 5), "wanted a value of bandwidth"),
        (lambda: ImageLab(point_run(tmp_path)), "wanted a run on images"),
    ):
        with pytest.raises(UserError, match=words):
            attempt()
