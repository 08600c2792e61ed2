"""Memo, map, samples of the posterior, reconstructions, CSV."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.inspection import export
from gpvae_core.inspection.embedding import READ, Embedding, seeded_sample
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.views import GapView
from gpvae_core.runs import Run
from gpvae_core.truth.resampling import resample
from tests.inspection.conftest import LinearRun
from tests.tidy import tidy


def test_memo_computes_once_for_all_threads() -> None:
    memo, calls = Memo(), []

    def slow() -> int:
        calls.append(threading.get_ident())
        time.sleep(0.05)
        return 7

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: memo.get("key", slow), range(8))) == [7] * 8
    assert len(calls) == 1
    assert memo.peek("key") == 7
    assert memo.peek("other") is None


def test_who_waits_for_a_failure_computes_himself() -> None:
    memo, started = Memo(), threading.Event()

    def fails() -> int:
        started.set()
        time.sleep(0.05)
        raise ValueError("cancelled")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, "key", fails)
        started.wait()
        assert memo.get("key", lambda: 3) == 3
        with pytest.raises(ValueError, match="cancelled"):
            first.result()
    assert memo.peek("key") == 3


def test_memo_forgets_what_was_used_longest_ago() -> None:
    memo = Memo(size=2)
    for key in ("a", "b"):
        memo.get(key, lambda key=key: key)
    memo.get("a", lambda: "again")
    memo.get("c", lambda: "c")
    assert [memo.peek(key) for key in ("a", "b", "c")] == ["a", None, "c"]


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (9, 2), (10, 2), (30, 1), (150, 3)])
def test_a_map_of_any_size_places_points(n: int, d: int) -> None:
    z = np.random.default_rng(0).normal(size=(n, d))
    drawn = Embedding(z, seed=0)
    assert drawn.xy.shape == (n, 2)
    assert np.isfinite(drawn.xy).all()
    assert np.isfinite(drawn.place(z[0])).all()
    again = Embedding(z, seed=0)
    np.testing.assert_array_equal(drawn.xy, again.xy)
    assert drawn.method == ("line" if d == 1 else "t-SNE" if n >= 10 else "principal components")


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("stored", [None, np.full((300, 2), np.nan)], ids=["computed", "from a file"])
def test_equal_codes_lie_in_one_place(d: int, stored: np.ndarray | None) -> None:
    """t-SNE divides by the codes' standard deviation, which gave a map of NaN; files of older versions hold it."""
    z = np.full((300, d), 0.25)
    drawn = Embedding(z, seed=0, xy=stored)
    np.testing.assert_array_equal(drawn.xy, np.zeros((300, 2)))
    np.testing.assert_array_equal(drawn.place(z[0]), np.zeros(2))
    assert drawn.place(z[0] + np.eye(d)[0]) @ drawn.place(z[0] + np.eye(d)[0]) == pytest.approx(1.0)
    assert "equal" in READ[drawn.method]


def test_at_one_dimension_the_map_is_the_line_of_codes() -> None:
    z = np.random.default_rng(0).normal(size=(50, 1))
    drawn = Embedding(z, seed=0, xy=np.zeros((50, 2)))  # as the t-SNE map of an older version
    np.testing.assert_array_equal(drawn.xy[:, 0], z[:, 0])
    assert ((drawn.xy[:, 1] >= 0) & (drawn.xy[:, 1] < 1)).all()
    assert np.diff(np.sort(drawn.xy[:, 1])).min() > 0.3 / 50, "the heights keep points apart"
    np.testing.assert_array_equal(drawn.place(np.array([7.5])), [7.5, 0.5])


def test_a_point_is_placed_near_its_twin_also_on_a_map_from_a_file() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(200, 4)) + 6 * rng.normal(size=(5, 4))[rng.integers(0, 5, 200)]
    drawn = Embedding(z, seed=0)
    stored = Embedding(z, seed=0, xy=drawn.xy)
    for i in range(0, 200, 20):
        away = np.linalg.norm(drawn.xy - drawn.place(z[i]), axis=1)
        assert away[i] < np.percentile(away, 5)
        np.testing.assert_array_equal(stored.place(z[i]), drawn.place(z[i]))


def test_a_copy_of_a_test_image_lands_near_it(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run("vae", n_test=60))
    view = explorer.map_view()
    extent = np.ptp(view.xy, axis=0).max()
    for index in (0, 17, 44):
        own = explorer.place_on_map(explorer.instance(index))
        np.testing.assert_array_equal(own, view.xy[index])
        copy = explorer.place(explorer.run.data.test.pixels([index])[0], "uploaded")
        assert np.linalg.norm(explorer.place_on_map(copy) - own) < 0.05 * extent
    assert view.sample_note == "all 60 test images"
    np.testing.assert_array_equal(view.class_index, explorer.run.data.test.labels)


def test_seeded_sample() -> None:
    np.testing.assert_array_equal(seeded_sample(5, 5, 0), np.arange(5))
    sample = seeded_sample(1000, 50, 3)
    assert len(set(sample.tolist())) == 50
    assert (np.diff(sample) > 0).all()
    np.testing.assert_array_equal(sample, seeded_sample(1000, 50, 3))
    assert not np.array_equal(sample, seeded_sample(1000, 50, 4))


def test_resampling_turns_a_wrong_proposal_into_the_posterior(linear_run: Callable[..., LinearRun]) -> None:
    linear = linear_run(3)
    x = linear.run.data.test.pixels([0])
    mean, covariance = linear.oracle.posterior_mean(x)[0].numpy(), linear.oracle.posterior_covariance.numpy()
    chol = 1.5 * np.diag(np.sqrt(np.diag(covariance)))
    generator = torch.Generator().manual_seed(0)
    drawn = resample(linear.run.model, x, mean + 0.1, chol, generator, n=4000, proposals=40_000)
    assert 4000 < drawn.effective < 40_000
    np.testing.assert_allclose(drawn.z.mean(0), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.z.T), covariance, atol=0.1 * covariance.max())


def test_reconstructions_are_decoded_answers(digits_run: Callable[..., Run]) -> None:
    run = digits_run()
    explorer = Explorer(run)
    instance = explorer.instance(2)
    explorer.best_gaussian(instance)
    view = explorer.reconstruction_view(instance)
    names = ["base encoder", "GP encoder (marginalised)", "best Gaussian", "posterior mode"]
    assert [item.name for item in view.items] == names
    assert view.samples.shape == (8, 1, 8, 8)
    q = run.posterior(torch.as_tensor(instance.image))
    for item, z in ((view.items[0], q.base().mean), (view.items[1], q.mean)):
        np.testing.assert_allclose(item.image, run.model.decode(z)[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(item.error, (item.image - instance.image)[0], atol=1e-6)
        assert item.rmse == pytest.approx(np.sqrt(np.mean((item.image - instance.image) ** 2)), rel=1e-5)


def test_the_strip_says_how_it_was_drawn(linear_run: Callable[..., LinearRun]) -> None:
    explorer = Explorer(linear_run(3, invert=False).run)
    instance = explorer.instance(0)
    assert "of the encoder" in explorer.reconstruction_view(instance).samples_note
    explorer.best_gaussian(instance)
    assert "of the best Gaussian" in explorer.reconstruction_view(instance).samples_note


def test_csv_gives_back_the_numbers(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run(), gap_sample=4)
    explorer.prepare()
    instance = explorer.instance(1)

    def tables(view: str) -> dict[str, list[dict[str, Any]]]:
        return {name: tidy(text) for name, text in explorer.to_csv(view, instance).items()}

    view, files = explorer.posterior_view(instance), tables("posterior")
    grid = files["densities"]
    assert {(row["run"], row["x_axis"], row["y_axis"]) for row in grid} == {(explorer.run.name, "z1", "z2")}
    np.testing.assert_array_equal([row["log_density_nats"] for row in grid], view.log_density.ravel())
    assert (grid[1]["x_prior_sd"], grid[81]["y_prior_sd"]) == (view.x[1], view.y[1])
    assert [(row["mass"], row["least_log_density_nats"]) for row in files["regions"]] == list(view.hpd_levels)
    assert [row["gaussian"] for row in files["Gaussians"]] == [s.name for s in view.gaussians]
    assert len(files["points"]) == len(view.base_samples) + len(view.mapa_points) + len(view.modes)

    rows = tables("map")[""]
    np.testing.assert_array_equal([row["x"] for row in rows], explorer.map_view().xy[:, 0])
    assert sum(row["inference_gap_nats"] is not None for row in rows) == 4

    assert tables("gaps")[""][0]["encoder_elbo_nats"] == explorer.gap_view(instance).encoder_elbo
    traces = tables("traces")
    line = [
        row["log_density_nats"]
        for row in traces["log densities"]
        if row["coordinate"] == "z2" and row["series"] == "true"
    ]
    np.testing.assert_array_equal(line, explorer.traces_view(instance).traces[1].line)
    assert traces["kernel"][0]["kl_empiricalized_mapa_nats"] == explorer.traces_view(instance).kl_mapa

    uncertain, files = explorer.uncertainty_view(instance), tables("uncertainty")
    assert uncertain is not None
    assert [row["v_f_prior_var"] for row in files["this image"]] == uncertain.per_dimension_f.tolist()
    assert [row["trace_v_h_prior_var"] for row in files["test images"]] == uncertain.all_trace_h.tolist()
    known = {
        int(row["test_image"]): row["inference_gap_nats"] for row in files["test images"] if row["inference_gap_nats"]
    }
    assert known == dict(zip(uncertain.scatter_index, uncertain.scatter["inference gap"], strict=True))
    assert [row["spearman_rho"] for row in files["correlations"]] == [c.rho for c in uncertain.correlations]

    files = tables("reconstructions")
    assert len(files["pixels"]) == 64 * (1 + len(files["errors"]) + 8)
    files = tables("figure_one")
    assert [row["test_image"] for row in files["images"]] == [item.index for item in explorer.figure_one()]
    assert len(files["densities"]) == sum(item.posterior.log_density.size for item in explorer.figure_one())
    with pytest.raises(UserError, match="did you mean 'posterior'"):
        explorer.to_csv("posteriors", instance)


def test_the_gaps_of_two_runs_are_one_table_with_their_parts() -> None:
    split = GapView("a", -50.0, "grid", -50.2, -50.5, -52.0, 0.3, 2)
    bound = GapView("b", -48.0, "ais", None, None, -51.0, None, None, 0.25)
    first, second = tidy(export.GAPS[""]({"a": split, "b": bound}))
    assert first["inference_gap_nats"] == first["approximation_gap_nats"] + first["amortization_gap_nats"] == 2.0
    assert (first["approximation_gap_nats"], first["gap_of_best_full_gaussian_nats"]) == (0.5, pytest.approx(0.2))
    assert (first["log_px_is_lower_bound"], second["log_px_is_lower_bound"]) == (False, True)
    assert (second["inference_gap_nats"], second["approximation_gap_nats"], second["log_px_se_nats"]) == (
        3.0,
        None,
        0.25,
    )


def test_the_posteriors_of_two_runs_are_one_table(linear_run: Callable[..., LinearRun]) -> None:
    views = {}
    for d in (2, 3):
        explorer = Explorer(linear_run(d).run)
        views[f"d = {d}"] = explorer.posterior_view(explorer.instance(0))
    for name, write in export.POSTERIOR.items():
        rows = tidy(write(views))
        assert {row["run"] for row in rows} == set(views), name
    axes = {(row["run"], row["x_axis"]) for row in tidy(export.POSTERIOR["points"](views))}
    assert axes == {("d = 2", "z1"), ("d = 3", "widest direction")}
