"""Neighbours against a float64 loop, on every way of search; ties, duplicates and bad input."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.mapa import approximate, exact, neighbours, search
from gpvae_core.mapa.bandwidth import mapa
from gpvae_core.mapa.exact import FaissExact, TorchExact
from gpvae_core.mapa.kernels.base import Kernel, Metric
from gpvae_core.mapa.kernels.bernoulli import BernoulliKernel
from gpvae_core.mapa.kernels.continuous_bernoulli import ContinuousBernoulliKernel
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import find_neighbours, recall
from gpvae_core.mapa.search import nearest
from gpvae_core.progress import Cancelled, silent

GAUSSIAN, CONTINUOUS = GaussianKernel(0.2), ContinuousBernoulliKernel(0.9)
CPU = torch.device("cpu")


def points(n: int, p: int, seed: int = 0) -> Tensor:
    return torch.rand(n, p, generator=torch.Generator().manual_seed(seed))


def clustered(n: int, p: int, seed: int = 0) -> Tensor:
    """Points near a surface of two dimensions in the unit cube."""
    generator = torch.Generator().manual_seed(seed)
    z, w = torch.randn(n, 2, generator=generator), torch.randn(2, p, generator=torch.Generator().manual_seed(99))
    return torch.sigmoid(2 * torch.sin(z @ w) + 0.1 * torch.randn(n, p, generator=generator))


def by_loop(kernel: Kernel, x_train: Tensor, x: Tensor) -> Tensor:
    """sign * statistic of all pairs in float64, pixel by pixel."""
    queries, vectors = kernel.queried(x).double(), kernel.indexed(x_train).double()
    total = torch.zeros(len(x), len(x_train), dtype=torch.float64)
    for d in range(queries.shape[1]):
        a, b = queries[:, None, d], vectors[None, :, d]
        total += (a - b) ** 2 if kernel.metric is Metric.SQUARED_DISTANCE else -a * b
    return total


@pytest.mark.parametrize("method", ["exact", "approximate"])
@pytest.mark.parametrize("kernel", [GAUSSIAN, CONTINUOUS], ids=["gaussian", "continuous_bernoulli"])
def test_against_a_float64_loop(kernel: Kernel, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "QUERIES", 17)
    monkeypatch.setattr(approximate, "RECALL", 1.0)
    x_train, x = points(300, 12), points(50, 12, 1)
    table = find_neighbours(x_train, kernel, 20, x, method=method, device="cpu")
    expected = by_loop(kernel, x_train, x).sort(dim=1)
    assert torch.equal(table.index, expected.indices[:, :20])
    torch.testing.assert_close(table.statistic.abs().double(), expected.values[:, :20].abs(), atol=1e-5, rtol=1e-6)
    assert table.recall == 1.0
    assert table.n_total == 300


@pytest.mark.parametrize("kernel", [GAUSSIAN, CONTINUOUS], ids=["gaussian", "continuous_bernoulli"])
def test_products_on_a_device_find_what_faiss_finds(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for CUDA, on CPU tensors; in chunks."""
    monkeypatch.setattr(exact, "SCORES", 7 * 400)
    monkeypatch.setattr(exact, "GATHERED", 5 * 52 * 31)
    x_train = points(400, 30)
    x_train[50:90] = x_train[7]
    vectors, queries, own = kernel.indexed(x_train), kernel.queried(x_train), torch.arange(400)
    actual = nearest(TorchExact(vectors, kernel.metric, CPU), queries, 20, own)
    expected = nearest(FaissExact(vectors, kernel.metric), queries, 20, own)
    assert torch.equal(actual.index, expected.index)
    torch.testing.assert_close(actual.statistic, expected.statistic, atol=1e-4, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_finds_what_faiss_finds() -> None:
    x_train = clustered(5000, 100)
    tables = [find_neighbours(x_train, GAUSSIAN, 50, device=device) for device in (None, "cpu")]
    assert recall(tables[1], tables[0]) > 0.9999
    torch.testing.assert_close(tables[0].statistic, tables[1].statistic, atol=1e-5, rtol=1e-5)


def test_statistics_keep_the_digits_that_products_lose() -> None:
    """Points far from zero and close together: |a|^2 + |b|^2 - 2 a'b has no right digit in float32."""
    x = 1000 + 1e-2 * points(200, 40)
    actual = find_neighbours(x, GAUSSIAN, 10, device="cpu")
    expected = by_loop(GAUSSIAN, x, x).sort(dim=1, stable=True)
    torch.testing.assert_close(actual.statistic.double(), expected.values[:, :10], atol=0, rtol=1e-4)
    assert torch.equal(actual.index, expected.indices[:, :10])
    for searching in (FaissExact(x, GAUSSIAN.metric), TorchExact(x, GAUSSIAN.metric, CPU)):
        searching.centred, searching.centre = x, torch.zeros(40)  # as if nothing were done against it
        searching.longest = float(x.norm(dim=1).max())
        assert torch.equal(nearest(searching, x, 10, torch.arange(200)).index, actual.index)


@pytest.mark.parametrize("method", ["exact", "approximate"])
def test_ties_are_ordered_by_index_and_a_point_is_among_its_neighbours(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 copies of one point are more than k and what is fetched at first; distances between others tie as well."""
    monkeypatch.setattr(search, "CANDIDATES", 5000)
    x = points(500, 5).round()
    x[100:400] = x[3]
    table = find_neighbours(x, BernoulliKernel(), 20, method=method, device="cpu")
    own = torch.arange(500)
    assert (table.index == own[:, None]).any(1).all()
    assert (table.statistic[:, 0] == 0).all()
    tied = table.statistic[:, 1:] == table.statistic[:, :-1]
    assert (table.index[:, 1:] > table.index[:, :-1])[tied].all()
    again = find_neighbours(x, BernoulliKernel(), 20, method=method, device="cpu")
    assert torch.equal(table.index, again.index)


def test_exact_neighbours_are_the_first_by_distance_and_index() -> None:
    x = points(500, 6).round()
    actual = find_neighbours(x, BernoulliKernel(), 20, points(40, 6, 1).round(), device="cpu")
    expected = by_loop(BernoulliKernel(), x, points(40, 6, 1).round()).sort(dim=1, stable=True)
    assert torch.equal(actual.index, expected.indices[:, :20])
    assert torch.equal(actual.statistic.double(), expected.values[:, :20])


def test_of_nothing_but_copies_each_has_itself() -> None:
    table = find_neighbours(torch.ones(70, 3), GAUSSIAN, 4, device="cpu")
    expected = torch.arange(4).repeat(70, 1)
    expected[4:, -1] = torch.arange(4, 70)
    assert torch.equal(table.index, expected)
    torch.testing.assert_close(table.posterior(GAUSSIAN).log_q, torch.full((70, 4), -math.log(70)).double())


@pytest.mark.parametrize("kernel", [GAUSSIAN, CONTINUOUS], ids=["gaussian", "continuous_bernoulli"])
@pytest.mark.parametrize("method", ["exact", "approximate"])
def test_all_stored_is_dense(kernel: Kernel, method: str) -> None:
    x_train, x = points(40, 6), points(9, 6, 1)
    table = find_neighbours(x_train, kernel, 40, x, method=method, device="cpu")
    assert table.rest_statistic.shape == (9, 0)
    dense = torch.log_softmax(kernel.log_kernel(-by_loop(kernel, x_train, x)), dim=1)
    if kernel.metric is Metric.SQUARED_DISTANCE:
        dense = torch.log_softmax(kernel.log_kernel(by_loop(kernel, x_train, x)), dim=1)
    torch.testing.assert_close(table.posterior(kernel).dense(), dense, atol=2e-5, rtol=0)
    exactly = kernel.log_kernel(table.statistic).log_softmax(1)
    torch.testing.assert_close(table.posterior(kernel).log_q, exactly, atol=1e-10, rtol=0)


def test_few_others_are_all_looked_at_so_that_the_tail_is_exact() -> None:
    x_train, x = points(60, 4), points(30, 4, 1)
    table = find_neighbours(x_train, GAUSSIAN, 10, x, device="cpu")
    dense = GAUSSIAN.log_kernel(by_loop(GAUSSIAN, x_train, x)).log_softmax(1).sort(dim=1, descending=True).values
    torch.testing.assert_close(table.posterior(GAUSSIAN).log_tail, dense[:, 10:].logsumexp(1), atol=1e-5, rtol=0)


def test_the_tail_of_many_others_is_right_on_average() -> None:
    """The mean over seeds of the tail's mass before normalising, against the dense sum."""
    x_train, x, wide = points(500, 3), points(4, 3, 1), GaussianKernel(0.3)
    k = wide.log_kernel(by_loop(wide, x_train, x)).exp().sort(dim=1, descending=True).values
    masses = []
    for seed in range(60):
        table = find_neighbours(x_train, wide, 20, x, seed=seed, device="cpu")
        masses.append(480 * wide.log_kernel(table.rest_statistic).exp().mean(1))
    actual = torch.stack(masses)
    error = actual.std(0) / math.sqrt(60)
    assert ((actual.mean(0) - k[:, 20:].sum(1)).abs() < 4 * error).all()
    assert (error / k[:, 20:].sum(1) < 0.05).all()


def test_what_is_looked_at_is_evenly_drawn_from_what_is_not_stored() -> None:
    index = torch.tensor([[0, 5, 9], [1, 2, 3]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([neighbours._others(index, 100, generator) for _ in range(1500)], dim=1)
    for row in range(2):
        counts = torch.bincount(drawn[row], minlength=100).double()
        assert counts[index[row]].sum() == 0
        kept = counts[counts > 0]
        assert len(kept) == 97
        chi2 = float(((kept - kept.mean()) ** 2 / kept.mean()).sum())
        assert chi2 < 96 + 4 * math.sqrt(2 * 96)


@pytest.mark.parametrize("bandwidth", [0.05, 0.5])
def test_another_bandwidth_after_the_fact_is_as_searching_again(bandwidth: float) -> None:
    x = clustered(300, 8)
    once = find_neighbours(x, GaussianKernel(0.2), 30, device="cpu").posterior(GaussianKernel(bandwidth))
    again = find_neighbours(x, GaussianKernel(bandwidth), 30, device="cpu").posterior(GaussianKernel(bandwidth))
    assert torch.equal(once.index, again.index)
    assert torch.equal(once.log_q, again.log_q)
    assert torch.equal(once.log_tail, again.log_tail)


def test_an_approximate_search_says_its_recall() -> None:
    x = clustered(4000, 100)
    exactly = find_neighbours(x, GAUSSIAN, 50, device="cpu")
    actual = find_neighbours(x, GAUSSIAN, 50, method="approximate", device="cpu")
    truth = recall(exactly, actual)
    assert truth > 0.95
    assert abs(actual.recall - truth) < 0.02
    shared = (actual.index[:, :, None] == exactly.index[:, None]).any(2)
    assert abs(float(shared.double().mean()) - truth) < 1e-6
    assert (actual.index == torch.arange(4000)[:, None]).any(1).all()
    same = actual.index[:, 0] == exactly.index[:, 0]
    assert torch.equal(actual.statistic[same, 0], exactly.statistic[same, 0])


def test_inner_products_are_approximated_too() -> None:
    x = clustered(4000, 100)
    exactly = find_neighbours(x, CONTINUOUS, 50, device="cpu")
    assert recall(exactly, find_neighbours(x, CONTINUOUS, 50, method="approximate", device="cpu")) > 0.94


def test_recall_counts_what_is_shared() -> None:
    table = find_neighbours(points(30, 3), GAUSSIAN, 4, device="cpu")
    other = table.rows(torch.arange(30))
    other.index[:, -1] = 99
    assert recall(table, other) == 0.75
    assert recall(table, table) == 1.0


def test_principal_directions_are_those_of_the_covariance() -> None:
    x = torch.randn(3000, 20, generator=torch.Generator().manual_seed(0)) * torch.logspace(0.5, -1, 20) + 3
    actual = approximate.principal_directions(x, 4, torch.Generator().manual_seed(1))
    expected = torch.linalg.eigh(torch.cov(x.T)).eigenvectors.flip(1)[:, :4]
    torch.testing.assert_close((actual.T @ expected).abs(), torch.eye(4), atol=2e-2, rtol=0)
    torch.testing.assert_close(actual.T @ actual, torch.eye(4), atol=1e-5, rtol=0)


def test_digits_sparse_against_dense(data_dir: Path) -> None:
    """The stored probabilities differ from the dense ones by the error of the tail's mass alone."""
    data = load(DataConfig(name="mnist"))
    x_train, x = data.train.pixels(slice(0, 5000)).flatten(1), data.test.pixels(slice(0, 40)).flatten(1)
    kernel = GaussianKernel(2.0)
    table = find_neighbours(x_train, kernel, 200, x, device="cpu")
    sparse, dense = table.posterior(kernel), mapa(x_train, x, 2.0)
    k = kernel.log_kernel(table.rest_statistic).exp()
    error = (k.std(1) / k.mean(1) / math.sqrt(k.shape[1])) * sparse.log_tail.exp()
    difference = (sparse.log_q - dense.gather(1, sparse.index)).abs().amax(1)
    assert (difference < 4 * error + 1e-3).all()
    assert 0.02 < float(sparse.log_tail.exp().mean()) < 0.9
    narrow = table.posterior(GaussianKernel(0.5))
    inside = mapa(x_train, x, 0.5)
    torch.testing.assert_close(narrow.log_q, inside.gather(1, narrow.index), atol=2e-2, rtol=0)


def test_progress_is_told_and_can_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "QUERIES", 10)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int, what: str) -> None:
        assert what == "finding neighbours"
        seen.append((done, total))
        if done == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_neighbours(points(50, 3), GAUSSIAN, 5, progress=stop, device="cpu")
    assert seen == [(0, 50), (0, 50), (10, 50), (20, 50)]
    find_neighbours(points(50, 3), GAUSSIAN, 5, progress=silent, device="cpu")


@pytest.mark.parametrize("k", [0, -1, 31])
def test_k_is_from_one_to_n(k: int) -> None:
    with pytest.raises(UserError, match=rf"wanted from 1 to 30 neighbours.*got {k}"):
        find_neighbours(points(30, 3), GAUSSIAN, k)


@pytest.mark.parametrize(("shape", "requested"), [((0, 3), None), ((5, 0), None), ((5, 3), (0, 3)), ((5, 3), (4, 2))])
def test_points_that_are_none_or_of_another_size_are_refused(
    shape: tuple[int, int], requested: tuple[int, int] | None
) -> None:
    with pytest.raises(UserError, match=r"wanted (training )?points"):
        find_neighbours(torch.zeros(shape), GAUSSIAN, 1, None if requested is None else torch.zeros(requested))


def test_an_unknown_way_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'approximate'"):
        find_neighbours(points(30, 3), GAUSSIAN, 3, method="aproximate")


def test_queries_are_checked_too() -> None:
    bad = points(4, 3)
    bad[1, 1] = math.nan
    with pytest.raises(UserError, match="nan or infinite"):
        find_neighbours(points(30, 3), GAUSSIAN, 3, bad)
    with pytest.raises(UserError, match="binary images"):
        find_neighbours(points(30, 3).round(), BernoulliKernel(), 3, points(4, 3))


@pytest.mark.parametrize("method", ["exact", "approximate"])
def test_one_training_point(method: str) -> None:
    table = find_neighbours(torch.zeros(1, 2), GAUSSIAN, 1, method=method, device="cpu")
    assert table.index.tolist() == [[0]]
    assert table.posterior(GAUSSIAN).log_q.tolist() == [[0.0]]
