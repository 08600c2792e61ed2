"""Memo, map, samples of the posterior, reconstructions, CSV."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.inspection.embedding import READ, Embedding, seeded_sample
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.memo import Memo
from gpvae_core.runs import Run
from gpvae_core.truth.resampling import resample
from tests.inspection.conftest import LinearRun


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


def tables(text: str) -> list[list[dict[str, str]]]:
    return [list(csv.DictReader(io.StringIO(part))) for part in text.split("\n\n")]


def test_csv_gives_back_the_numbers(digits_run: Callable[..., Run]) -> None:
    explorer = Explorer(digits_run(), gap_sample=4)
    explorer.prepare()
    instance = explorer.instance(1)
    view = explorer.posterior_view(instance)
    grid, levels, shapes, points = tables(explorer.to_csv("posterior", instance))
    np.testing.assert_array_equal([float(row["log_density"]) for row in grid], view.log_density.ravel())
    assert float(grid[1]["x"]) == view.x[1]
    assert float(grid[81]["y"]) == view.y[1]
    assert len(levels) == 3
    assert [row["gaussian"] for row in shapes] == [s.name for s in view.gaussians]
    assert len(points) == len(view.base_samples) + len(view.mapa_points) + len(view.modes)
    (rows,) = tables(explorer.to_csv("map", instance))
    np.testing.assert_array_equal([float(row["x"]) for row in rows], explorer.map_view().xy[:, 0])
    assert sum(row["inference_gap"] != "" for row in rows) == 4
    (gap,) = tables(explorer.to_csv("gaps", instance))
    assert float(gap[0]["encoder_elbo"]) == explorer.gap_view(instance).encoder_elbo
    series, _ = tables(explorer.to_csv("traces", instance))
    line = [float(row["log_density"]) for row in series if (row["coordinate"], row["series"]) == ("z2", "true")]
    np.testing.assert_array_equal(line, explorer.traces_view(instance).traces[1].line)
    one, everyone, scatter, _ = tables(explorer.to_csv("uncertainty", instance))
    assert len(one) == 2
    assert len(everyone) == 24
    assert len(scatter) == 4
    errors, pixels = tables(explorer.to_csv("reconstructions", instance))
    assert len(pixels) == 64 * (1 + len(errors) + 8)
    picked, _ = tables(explorer.to_csv("figure_one", instance))
    assert [int(row["index"]) for row in picked] == [item.index for item in explorer.figure_one()]
    with pytest.raises(UserError, match="did you mean 'posterior'"):
        explorer.to_csv("posteriors", instance)
