"""The Gap Lab's numbers on a linear-Gaussian decoder, where every one of them is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.errors import UserError
from gpvae_core.inspection.gap_lab import curves, export
from gpvae_core.inspection.gap_lab.curves import epoch_curve
from gpvae_core.inspection.gap_lab.lab import GapLab
from gpvae_core.inspection.gap_lab.methods import decoders, model_of, split_method
from gpvae_core.inspection.gap_lab.outlines import outline_of
from gpvae_core.inspection.gap_lab.scores import GapReference
from gpvae_core.inspection.gap_lab.svi import SviSettings
from gpvae_core.inspection.gap_lab.timing import FEWEST, REPEATS, batch_times
from gpvae_core.inspection.outline import MASS
from gpvae_core.inspection.planes import latent_plane, on_plane
from gpvae_core.inspection.views import Plane
from gpvae_core.progress import Cancelled
from gpvae_core.runs import Run
from tests.inspection.conftest import LinearRun, make_run
from tests.oracles import LinearEncoder
from tests.tidy import tidy

LinearRuns = Callable[..., LinearRun]
SHIFT = torch.tensor([0.4, -0.3], dtype=torch.float64)


@pytest.fixture
def linear(linear_run: LinearRuns) -> tuple[GapLab, LinearRun]:
    """Two runs on one decoder: 'best' is the best diagonal Gaussian, 'off' is shifted from it and too narrow."""
    base = linear_run(2)
    best = make_run(base.run.dir.with_name("best"), base.run.config, base.oracle.vae(), base.run.data)
    narrow = 0.5 * base.oracle.precision.diagonal().rsqrt()
    off = make_run(base.run.dir.with_name("off"), base.run.config, base.oracle.vae(SHIFT, narrow), base.run.data)
    runs = {"best": best, "off": off}
    return GapLab(decoders(runs)[0], runs, sample=10), base


def closed_form(base: LinearRun, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """log p(x), ELBO of the best diagonal Gaussian, and of 'off'."""
    narrow = torch.diag(0.25 / base.oracle.precision.diagonal())
    off = base.oracle.elbo(x, base.oracle.posterior_mean(x) + SHIFT, narrow)
    return base.oracle.log_px(x), base.oracle.best_diagonal_elbo(x), off


def test_gaps_of_one_image_and_their_means_are_those_of_the_closed_form(linear: tuple[GapLab, LinearRun]) -> None:
    lab, base = linear
    x = base.run.data.validation.pixels([3])
    log_px, best, off = (float(v[0]) for v in closed_form(base, x))
    view = lab.stacks(["best", "off"], 3)
    assert view.exact
    assert view.log_px.mean == pytest.approx(log_px, abs=2e-3)
    assert view.approximation.mean == pytest.approx(log_px - best, abs=0.01)
    assert view.full.mean == pytest.approx(0.0, abs=0.01)
    first, second = view.stacks
    assert first.amortization.mean == pytest.approx(0.0, abs=0.01)
    assert second.inference.mean == pytest.approx(log_px - off, abs=0.02 * (log_px - off) + 0.01)
    assert second.amortization.mean == pytest.approx(best - off, abs=0.02 * (best - off) + 0.01)
    assert second.inference.se is None

    assert not any(stack.usual for stack in view.stacks)
    mean = lab.mean_stacks(["off"])
    images = base.run.data.validation.pixels(lab.sample)
    known = [v.numpy() for v in closed_form(base, images)]
    gaps = known[0] - known[2]
    assert mean.stacks[0].inference.mean == pytest.approx(gaps.mean(), rel=0.02)
    assert mean.log_px.se == pytest.approx(known[0].std(ddof=1) / np.sqrt(len(images)), rel=1e-3)
    assert list(lab.usual_gaps(["best", "off"])) == ["off"]
    unknown, usual = (stack.usual for stack in lab.stacks(["best", "off"], 3).stacks)
    assert unknown is None
    assert usual == pytest.approx(np.percentile(gaps, [5, 95]), rel=0.02)


def test_the_largest_gap_is_where_a_shrunken_encoder_is_farthest_off(linear: tuple[GapLab, LinearRun]) -> None:
    base = linear[1]
    model = base.oracle.vae()
    assert isinstance(model.encoder, LinearEncoder)
    model.encoder.a.mul_(0.5)
    run = make_run(base.run.dir.with_name("shrunken"), base.run.config, model, base.run.data)
    lab = GapLab(decoders({"shrunken": run})[0], {"shrunken": run}, sample=10)
    mean = base.oracle.posterior_mean(base.run.data.validation.pixels(lab.sample))
    farthest = torch.einsum("bi,ij,bj->b", mean, base.oracle.precision, mean).argmax()
    assert lab.largest_gap("shrunken") == lab.sample[farthest]


def test_an_answer_better_than_any_diagonal_gaussian_has_a_negative_amortization_gap(
    linear: tuple[GapLab, LinearRun],
) -> None:
    base = linear[1]
    w = base.oracle.w @ torch.tensor([[1.0, 0.8], [0.0, 0.6]], dtype=torch.float64)
    correlated = replace(base.oracle, w=w)
    run = make_run(base.run.dir.with_name("off"), base.run.config, correlated.vae(SHIFT), base.run.data)
    lab = GapLab(decoders({"off": run})[0], {"off": run})
    view = lab.stacks(["off+svi:100,covariance=full"], 0)
    assert view.stacks[0].inference.mean == pytest.approx(0.0, abs=0.02)
    assert view.stacks[0].amortization.mean == pytest.approx(-view.approximation.mean, abs=0.02)
    assert view.approximation.mean > 0.02
    (row,) = tidy(export.stacks(view))
    assert row["amortization_gap_nats"] == view.stacks[0].amortization.mean
    assert row["inference_gap_nats"] == pytest.approx(row["approximation_gap_nats"] + row["amortization_gap_nats"])


def test_svi_goes_from_the_encoders_answer_to_the_best_gaussian(linear: tuple[GapLab, LinearRun]) -> None:
    lab, base = linear
    x = base.run.data.validation.pixels([5])
    log_px, best, off = (float(v[0]) for v in closed_form(base, x))
    diagonal = lab.svi("off", SviSettings(), 5)
    assert len(diagonal.elbo) == len(diagonal.outlines) == 101
    assert diagonal.elbo[0] == pytest.approx(off, abs=0.02 * (best - off) + 0.01)
    assert diagonal.elbo[-1] == pytest.approx(best, abs=0.01)
    assert lab.svi("off", SviSettings(covariance="full"), 5).elbo[-1] == pytest.approx(log_px, abs=0.01)
    start, end = diagonal.outlines[0].centre, diagonal.outlines[-1].centre
    mean = base.oracle.posterior_mean(x)[0].numpy()
    np.testing.assert_allclose(end, mean, atol=0.02)
    np.testing.assert_allclose(start, mean + SHIFT.numpy(), atol=1e-3)
    plain = lab.stacks(["off"], 5)
    assert plain.log_px.mean - diagonal.elbo[0] == pytest.approx(plain.stacks[0].inference.mean)
    assert [row["elbo_nats"] for row in tidy(export.svi(diagonal))] == diagonal.elbo.tolist()


def test_svi_refuses_what_it_does_not_take(linear: tuple[GapLab, LinearRun]) -> None:
    with pytest.raises(UserError, match="momentum"):
        linear[0].svi("off", SviSettings(momentum=2.0), 0)


@pytest.mark.parametrize("correlated", [False, True])
def test_an_outline_holds_its_mass(correlated: bool) -> None:
    chol = torch.tensor([[[0.6, 0.0], [0.4 * correlated, 0.05]]])
    mean = torch.tensor([[1.0, -2.0]])
    q = FullGaussian(mean, chol) if correlated else DiagonalGaussian(mean, chol.diagonal(dim1=-2, dim2=-1))
    actual = outline_of("q", q, latent_plane())
    precision = np.linalg.inv((chol[0] @ chol[0].T).double().numpy())
    off = actual.line - mean[0].numpy()
    np.testing.assert_allclose(np.einsum("pi,ij,pj->p", off, precision, off), -2 * np.log(1 - MASS), rtol=0.06)
    np.testing.assert_allclose(actual.centre, mean[0].numpy(), atol=1e-6)


def test_on_a_slice_an_outline_is_that_of_the_restricted_density() -> None:
    chol = torch.tensor([[[0.5, 0.0, 0.0], [0.3, 0.4, 0.0], [-0.4, 0.2, 0.6]]])
    mean = np.array([0.5, -0.2, 0.9])
    turn = np.linalg.qr(np.array([[1.0, 0.5, 0.2], [0.3, 1.0, -0.4], [0.0, 0.2, 1.0]]))[0]
    plane = Plane(np.array([0.1, 0.0, 0.3]), turn[:2], "u", "w", True, "")
    covariance = (chol[0] @ chol[0].T).double().numpy()
    known = on_plane("q", plane, mean, covariance)
    actual = outline_of("q", FullGaussian(torch.as_tensor(mean[None], dtype=torch.float32), chol), plane)
    off = actual.line - known.mean
    radii = np.einsum("pi,ij,pj->p", off, np.linalg.inv(known.covariance), off)
    np.testing.assert_allclose(radii, -2 * np.log(1 - MASS), rtol=0.04)
    np.testing.assert_allclose(actual.centre, plane.coordinates(mean), atol=1e-6)


def test_contours_show_the_truth_and_reach_to_a_start_that_is_far_off(linear_run: LinearRuns, tmp_path: Path) -> None:
    base = linear_run(2)
    far = torch.tensor([3.0, 0.0], dtype=torch.float64)
    run = make_run(tmp_path / "far", base.run.config, base.oracle.vae(far), base.run.data)
    lab = GapLab(decoders({"far": run})[0], {"far": run}, sample=4)
    view = lab.contours(["far"], 2, start="far")
    line = view.outlines[0].line
    assert view.truth.x[0] < line[:, 0].min() < line[:, 0].max() < view.truth.x[-1]
    at = np.unravel_index(view.truth.log_density.argmax(), view.truth.log_density.shape)
    mean = base.oracle.posterior_mean(base.run.data.validation.pixels([2]))[0].numpy()
    np.testing.assert_allclose([view.truth.x[at[1]], view.truth.y[at[0]]], mean, atol=0.1)
    rows = tidy(export.contours(view))
    assert [(row["x_prior_sd"], row["y_prior_sd"]) for row in rows] == [tuple(p) for p in line if np.isfinite(p).all()]
    assert {row["method"] for row in rows} == {"far"}


def test_in_four_dimensions_truth_is_a_bound_and_contours_are_a_slice(linear_run: LinearRuns) -> None:
    base = linear_run(4)
    lab = GapLab(decoders({"four": base.run})[0], {"four": base.run}, sample=4)
    view = lab.stacks(["four"], 1)
    assert not view.exact
    assert "lower bound" in view.truth
    assert "standard error" in view.truth
    errors = lab.reference(1).table.log_px_se
    assert errors is not None
    assert 0 < errors[0] < 0.1
    off = abs(view.log_px.mean - float(base.oracle.log_px(base.run.data.validation.pixels([1]))[0]))
    assert off < min(5 * errors[0] + 1e-3, 0.1)
    x = base.run.data.validation.pixels([1])
    assert lab.reference(1).table.truth == "ais"
    assert view.log_px.mean == base.run.truth.log_px(x).log_px[0]
    assert lab.contours(["four"], 1, "four").truth.plane.is_slice
    assert lab.svi("four", SviSettings(steps=5), 1).elbo[-1] <= view.log_px.mean + 5 * errors[0]


def test_methods_are_runs_and_their_refinements(linear: tuple[GapLab, LinearRun]) -> None:
    lab, _ = linear
    assert split_method("a+b+svi:8,momentum=0.1", ["a", "a+b"]) == ("a+b", "svi:8,momentum=0.1")
    assert split_method("a+b", ["a", "a+b"]) == ("a+b", "")
    with pytest.raises(UserError, match="unknown run on this decoder 'ghost'"):
        lab.model("ghost+svi:8")
    with pytest.raises(UserError, match="did you mean 'svi'"):
        lab.model("off+svj:8")
    plain = lab.runs["off"]
    refined = model_of(plain, "svi:2")
    assert refined.encoder is plain.model.encoder
    assert refined.refiner is not plain.model.refiner


def test_runs_are_grouped_by_their_decoder(linear_run: LinearRuns, tmp_path: Path) -> None:
    one, other = linear_run(2), linear_run(2, sigma_x=0.7)
    frozen = one.run.config.model_copy(update={"freeze_decoder": True})
    taken = make_run(tmp_path / "taken", frozen, one.oracle.vae(SHIFT), one.run.data)
    taken.meta = taken.meta.model_copy(update={"decoder_from": "gone"})
    actual = decoders({"other": other.run, "taken": taken, "own": one.run})
    assert [(d.name, d.runs) for d in actual] == [("own", ("own", "taken")), ("other", ("other",))]
    assert decoders({"taken": taken})[0].name == "gone"


def test_times_take_turns_and_are_what_the_clock_says(linear: tuple[GapLab, LinearRun]) -> None:
    lab, base = linear
    ticks = count()
    requested: list[str] = []
    models = {name: lab.model(name) for name in ("best", "off")}
    x = base.run.data.validation.pixels([0, 1])
    times = batch_times(models, x, lambda done, total, what: requested.append(what), lambda: 0.25 * next(ticks))
    assert requested[:4] == ["timing best", "timing off"] * 2
    for values in times.values():
        assert REPEATS >= len(values) >= FEWEST
        np.testing.assert_allclose(values, 250.0)
    view = lab.times(["best", "off+svi:3"])
    assert all(0 < p.low <= p.milliseconds <= p.high for p in view.points)
    assert view.points[0].inference.mean == lab.mean_stacks(["best"]).stacks[0].inference.mean
    assert [row["median_ms"] for row in tidy(export.times(view))] == [p.milliseconds for p in view.points]


def test_a_timing_is_cancelled(linear: tuple[GapLab, LinearRun]) -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        batch_times({"best": linear[0].model("best")}, linear[1].run.data.validation.pixels([0]), stop)


def test_the_sample_is_kept_on_disk(linear: tuple[GapLab, LinearRun], monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _ = linear
    first = lab.sample_reference()
    monkeypatch.setattr(GapReference, "from_model", None)
    again = GapLab(lab.decoder, lab.runs, sample=10).sample_reference()
    np.testing.assert_array_equal(again.table.log_px, first.table.log_px)
    np.testing.assert_array_equal(again.best.full_chol, first.best.full_chol)
    assert again.exact
    assert again.table.passed is not None


def sized(base: LinearRun, folder: Path, hidden: int, seed: int = 0) -> Run:
    raw: dict[str, Any] = base.run.config.to_json()
    raw["net"]["hidden"] = hidden
    config = type(base.run.config).model_validate(raw | {"freeze_decoder": True, "seed": seed})
    return make_run(folder, config, base.oracle.vae(SHIFT / hidden), base.run.data)


def test_a_series_of_sizes_is_found_and_its_gap_shrinks(linear_run: LinearRuns, tmp_path: Path) -> None:
    base = linear_run(2)
    runs = {f"h{h}": sized(base, tmp_path / f"h{h}", h) for h in (8, 2, 4)}
    runs["other-seed"] = sized(base, tmp_path / "other", 16, seed=1)
    lab = GapLab(decoders(runs)[0], runs, sample=6)
    assert lab.size_series() == ["h2", "h4", "h8"]
    curve = lab.size_curve()
    assert curve is not None
    gaps = [value.mean for value in curve.amortization]
    assert gaps == sorted(gaps, reverse=True)
    precision = base.oracle.precision
    for gap, hidden in zip(gaps, (2, 4, 8), strict=True):
        shift = SHIFT / hidden
        assert gap == pytest.approx(0.5 * float(shift @ precision @ shift), rel=0.03, abs=0.01)
    assert GapLab(decoders({"h2": runs["h2"]})[0], runs, sample=6).size_curve() is None


def test_gaps_over_epochs_share_the_truth_of_a_frozen_decoder(
    linear: tuple[GapLab, LinearRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, base = linear
    index = np.arange(5)
    x, built = base.run.data.validation.pixels(index), []
    of = GapReference.from_model

    def counted(*parts: Any) -> GapReference:
        built.append(1)
        return of(*parts)

    monkeypatch.setattr(GapReference, "from_model", counted)
    columns = curves.epoch_columns(lambda epoch: lab.runs["off" if epoch < 10 else "best"], [5, 10], x, 0)
    assert len(built) == 1
    log_px, best, off = (v.numpy() for v in closed_form(base, x))
    np.testing.assert_allclose(columns["inference"], [log_px - off, log_px - best], rtol=0.02, atol=0.01)
    np.testing.assert_allclose(columns["inference"], columns["approximation"] + columns["amortization"])
    view = curves.epoch_view("run", columns, exact=True)
    assert list(view.x) == [5, 10]
    assert view.inference[0].mean > view.inference[1].mean
    assert [row["x"] for row in tidy(export.curve(view))] == [5.0, 10.0]


def test_a_run_without_kept_epochs_is_refused(linear: tuple[GapLab, LinearRun]) -> None:
    with pytest.raises(UserError, match="keep_every"):
        epoch_curve(linear[0].runs["best"])


def test_an_image_that_does_not_exist_is_refused(linear: tuple[GapLab, LinearRun]) -> None:
    with pytest.raises(UserError, match="validation image from 0 to 19, got 20"):
        linear[0].stacks(["best"], 20)
    assert replace(SviSettings(), steps=7).text.startswith("svi:7,")
