"""Choosing instances, uncertainty, Fig. 1, gaps and the stages of a run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from gpvae_core.errors import UserError
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.stages import STAGES
from gpvae_core.inspection.uncertainty import correlations, quantile_picks
from gpvae_core.progress import Cancelled
from gpvae_core.runs import Run
from tests.inspection.conftest import LinearRun


def test_an_instance_is_the_test_image(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run)
    instance = explorer.instance(7)
    np.testing.assert_array_equal(instance.image, run.data.test.images[7] / np.float32(16))
    assert instance.label == str(run.data.test.labels[7])
    for wrong in (-1, 24):
        with pytest.raises(UserError, match=f"from 0 to 23, got {wrong}"):
            explorer.instance(wrong)
    assert [explorer.neighbours(i, step) for i, step in ((0, -1), (23, 1), (5, 2))] == [23, 0, 7]


def test_by_class_finds_all_of_a_class(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run)
    for name in run.data.class_names:
        assert [int(run.data.test.labels[i]) for i in explorer.by_class(name)] == [int(name)] * len(
            explorer.by_class(name)
        )
    assert sum(len(explorer.by_class(name)) for name in run.data.class_names) == 24
    with pytest.raises(UserError, match="unknown class 'ten'"):
        explorer.by_class("ten")


def test_a_foreign_image_is_checked(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run())
    placed = explorer.place(torch.full((1, 8, 8), 0.5), "drawn")
    assert placed.index is None
    assert placed.title == "drawn image"
    assert placed.image.shape == (1, 8, 8)
    for wrong in (
        torch.zeros(1, 9, 8),
        torch.zeros(2, 1, 8, 8),
        torch.full((1, 8, 8), 1.5),
        torch.full((1, 8, 8), torch.nan),
    ):
        with pytest.raises(UserError, match="wanted"):
            explorer.place(wrong, "uploaded")
    assert explorer.posterior_view(placed).log_density.shape == (81, 81)
    assert explorer.place_on_map(placed).shape == (2,)


def test_stages_are_published_one_by_one_and_survive_a_cancel(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run(), gap_sample=3)
    assert explorer.ready == frozenset()
    seen: list[frozenset[str]] = []

    def stop_after_the_map(done: int, total: int, what: str) -> None:
        seen.append(explorer.ready)
        if "map" in explorer.ready:
            raise Cancelled

    with pytest.raises(Cancelled):
        explorer.prepare(stop_after_the_map)
    assert [sorted(stage, key=STAGES.index) for stage, _ in itertools.groupby(seen)] == [
        list(STAGES[:n]) for n in range(STAGES.index("map") + 2)
    ]
    assert explorer.map_view().gap is None
    assert explorer.quick_picks()["largest gap"] is None
    explorer.prepare()
    assert explorer.ready == frozenset(STAGES)
    gap = explorer.map_view().gap
    assert gap is not None
    assert np.isfinite(gap).sum() == 3


def test_a_cancel_inside_a_stage_leaves_it_undone(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run(), gap_sample=3)

    def stop(done: int, total: int, what: str) -> None:
        if what == "t-SNE map":
            raise Cancelled

    with pytest.raises(Cancelled):
        explorer.prepare(stop)
    assert explorer.ready == {"encodings", "atlas", "reference"}


def test_quick_picks_are_the_extremes(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run, gap_sample=5)
    explorer.prepare()
    u = run.posterior(run.data.test.pixels()).uncertainty()
    assert u is not None
    picks = explorer.quick_picks()
    assert picks["most uncertain"] == int(u.total.argmax())
    assert picks["least uncertain"] == int(u.total.argmin())
    gaps = {}
    for index in np.flatnonzero(np.isfinite(explorer.map_view().gap)):  # pyright: ignore[reportArgumentType, reportCallIssue]
        view = explorer.gap_view(explorer.instance(int(index)))
        gaps[int(index)] = view.log_px - view.encoder_elbo
    assert picks["largest gap"] == max(gaps, key=gaps.__getitem__)
    assert picks["smallest gap"] == min(gaps, key=gaps.__getitem__)


def test_figure_one_is_in_order_and_spans_the_test_set(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run)
    items = explorer.figure_one()
    values = [item.uncertainty for item in items]
    u = run.posterior(run.data.test.pixels()).uncertainty()
    assert u is not None
    assert len(items) == 6
    assert values == sorted(values)
    assert len(set(values)) == 6
    ordered = u.total.double().sort().values.numpy()
    np.testing.assert_allclose(values, ordered[[0, 5, 9, 14, 18, 23]], rtol=1e-5)
    for item in items:
        q = run.posterior(torch.as_tensor(item.image))
        np.testing.assert_allclose(item.reconstruction, run.model.decode(q.mean)[0].numpy(), atol=1e-5)


def test_a_plain_encoder_has_no_uncertainty_to_show(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run("vae"), gap_sample=3)
    explorer.prepare()
    instance = explorer.instance(0)
    assert explorer.figure_one() == ()
    assert "no uncertainty" in explorer.figure_one_note
    assert explorer.uncertainty_view(instance) is None
    assert explorer.map_view().uncertainty is None
    assert explorer.quick_picks()["most uncertain"] is None
    assert explorer.quick_picks()["largest gap"] is not None
    assert [item.name for item in explorer.reconstruction_view(instance).items][:1] == ["encoder"]


def test_uncertainty_view_ranks_the_instance(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run, gap_sample=8)
    u = run.posterior(run.data.test.pixels()).uncertainty()
    assert u is not None
    before = explorer.uncertainty_view(explorer.instance(4))
    assert before is not None
    assert len(before.scatter_index) == 0
    assert before.correlations == ()
    np.testing.assert_allclose(before.per_dimension_f, u.f[4].double(), rtol=1e-4)
    assert before.trace_h == pytest.approx(float(u.trace_h[4]), rel=1e-4)
    assert before.percentile == pytest.approx(100 * float((u.total < u.total[4]).double().mean()))
    explorer.prepare()
    after = explorer.uncertainty_view(explorer.instance(4))
    assert after is not None
    assert len(after.scatter_index) == 8
    np.testing.assert_allclose(
        after.scatter_uncertainty, u.total[torch.as_tensor(after.scatter_index)].double(), rtol=1e-4
    )
    for actual in after.correlations:
        exact = spearmanr(after.scatter_uncertainty, after.scatter[actual.against])[0]
        assert actual.rho == pytest.approx(exact)
        assert actual.low <= actual.rho <= actual.high
        assert actual.n == 8
    assert "inference gap" in {actual.against for actual in after.correlations}


def test_correlations_leave_out_what_cannot_be_ranked() -> None:
    u = np.arange(6.0)
    actual = correlations(u, {"same": np.ones(6), "few": np.array([1, 2, *[np.nan] * 4]), "down": -u}, seed=0)
    assert [(c.against, c.rho, c.n) for c in actual] == [("down", pytest.approx(-1.0), 6)]


def test_quantile_picks_with_few_instances() -> None:
    assert quantile_picks(np.array([3.0, 1.0, 2.0])).tolist() == [1, 2, 0]


def test_above_two_dimensions_log_px_is_a_lower_bound(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(3, invert=False)
    explorer = Explorer(linear.run, gap_sample=3)
    explorer.prepare()
    assert explorer.ready == frozenset(STAGES)
    sampled = np.flatnonzero(np.isfinite(explorer.map_view().gap))  # pyright: ignore[reportArgumentType, reportCallIssue]
    other = next(i for i in range(12) if i not in sampled)
    for index, truth, refined in ((int(sampled[0]), "ais", False), (other, "iwae", False), (other, "ais", True)):
        if refined:
            explorer.best_gaussian(explorer.instance(index))
        view = explorer.gap_view(explorer.instance(index))
        x = linear.run.data.test.pixels([index])
        assert view.log_px_truth == truth
        assert not view.exact
        assert view.log_px_se is not None
        assert view.log_px_se < 0.1
        assert view.log_px == pytest.approx(float(linear.oracle.log_px(x)[0]), abs=4 * view.log_px_se)
        assert view.log_px == linear.run.truth.log_px(x).log_px[0] or truth == "iwae"
        assert view.negentropy is None
        assert view.modes is None


def test_threads_see_what_one_thread_sees(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    serial, shared = Explorer(run), Explorer(run)
    instances = [serial.instance(i) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(shared.posterior_view, instances * 2))
    for alone, view in zip([serial.posterior_view(i) for i in instances] * 2, together, strict=True):
        np.testing.assert_array_equal(view.x, alone.x)
        np.testing.assert_array_equal(view.log_density, alone.log_density)
        np.testing.assert_array_equal(view.base_samples, alone.base_samples)
        np.testing.assert_array_equal(view.mapa_weights, alone.mapa_weights)
