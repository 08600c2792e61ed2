"""Sparse posteriors: what is drawn from them, and what they tend to as more is stored."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.sparse import SparsePosterior, is_stored, not_stored

B, N = 3, 12
DRAWS = 60_000


def log_kernel(seed: int = 0) -> Tensor:
    return 2 * torch.randn(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stored(k: int, seed: int = 0) -> SparsePosterior:
    """The k largest, the others with their true mass together."""
    ordered = log_kernel(seed).sort(dim=1, descending=True)
    rest = torch.logsumexp(ordered.values[:, k:], dim=1) if k < N else torch.full((B,), -torch.inf).double()
    return SparsePosterior.normalized(ordered.indices[:, :k], ordered.values[:, :k], rest, N)


def test_all_stored_is_the_dense_posterior() -> None:
    torch.testing.assert_close(stored(N).dense(), log_kernel().log_softmax(1), atol=1e-12, rtol=0)
    assert torch.isneginf(stored(N).log_tail).all()


@pytest.mark.parametrize("k", [1, 5, N - 1])
def test_the_stored_are_exact_and_the_others_share_their_mass(k: int) -> None:
    posterior, dense = stored(k), log_kernel().log_softmax(1)
    full = posterior.dense()
    torch.testing.assert_close(full.exp().sum(1), torch.ones(B, dtype=torch.float64))
    torch.testing.assert_close(full.gather(1, posterior.index), dense.gather(1, posterior.index))
    others = torch.ones(B, N).scatter(1, posterior.index, 0.0).bool()
    torch.testing.assert_close(
        full[others].view(B, -1).exp(),
        dense[others].view(B, -1).exp().mean(1, keepdim=True).expand(B, N - k),
    )


@pytest.mark.parametrize("size", [5, N - 1, N])
@pytest.mark.parametrize("k", [0, 2, 5])
def test_the_tail_is_drawn_as_eq_9_says(size: int, k: int) -> None:
    """q~^k: q with its k largest at zero, renormalised; frequencies and reported log-probabilities agree with it."""
    posterior = stored(size)
    draw = posterior.tail(k, DRAWS, torch.Generator().manual_seed(1))
    expected = posterior.dense().scatter(1, posterior.index[:, :k], -torch.inf).log_softmax(1)
    torch.testing.assert_close(draw.log_q, expected.gather(1, draw.index), atol=1e-10, rtol=0)
    for n in range(B):
        frequency = torch.bincount(draw.index[n], minlength=N).double() / DRAWS
        error = (expected[n].exp() * (1 - expected[n].exp()) / DRAWS).sqrt()
        assert ((frequency - expected[n].exp()).abs() <= 4.5 * error).all()


def test_weighted_draws_are_an_unbiased_sum_over_the_tail() -> None:
    posterior, f = stored(5), torch.rand(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    draw = posterior.tail(2, DRAWS, torch.Generator().manual_seed(1))
    weights = f.gather(1, draw.index) / draw.log_q.exp()
    truth = f.scatter(1, posterior.index[:, :2], 0.0).sum(1)
    error = weights.std(1) / math.sqrt(DRAWS)
    assert ((weights.mean(1) - truth).abs() < 4 * error).all()


def test_nothing_is_stored_behind_k() -> None:
    """k = K: all draws are from what is not stored."""
    posterior = stored(5)
    draw = posterior.tail(5, 500, torch.Generator().manual_seed(0))
    assert not is_stored(posterior.index.sort(1).values, draw.index).any()


def test_mass_that_underflows_leaves_even_draws() -> None:
    index = torch.arange(3).repeat(2, 1)
    log_k = torch.tensor([[0.0, -2000.0, -3000.0]]).double().repeat(2, 1)
    posterior = SparsePosterior.normalized(index, log_k, torch.full((2,), -torch.inf).double(), 8)
    draw = posterior.tail(3, 4000, torch.Generator().manual_seed(0))
    assert set(draw.index.unique().tolist()) == {3, 4, 5, 6, 7}
    torch.testing.assert_close(draw.log_q, torch.full((2, 4000), -math.log(5)).double())


@pytest.mark.parametrize(("size", "k", "samples"), [(5, 6, 1), (5, -1, 1), (N, N, 1), (N, N + 1, 0)])
def test_what_cannot_be_drawn_is_refused(size: int, k: int, samples: int) -> None:
    with pytest.raises(UserError, match="wanted k from 0 to"):
        stored(size).tail(k, samples)


def test_no_draws_are_no_draws() -> None:
    assert stored(N).tail(N, 0).index.shape == (B, 0)
    assert stored(5).tail(5, 0).log_q.shape == (B, 0)


def test_rows_are_rows() -> None:
    which = torch.tensor([2, 0])
    torch.testing.assert_close(stored(5).rows(which).dense(), stored(5).dense()[which])


def test_ranks_of_the_others_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    for k in (1, 4, N - 1):
        index = torch.stack([torch.randperm(N, generator=generator)[:k] for _ in range(20)]).sort(1).values
        actual = not_stored(index, torch.arange(N - k).repeat(20, 1))
        for n in range(20):
            inside = set(index[n].tolist())
            assert actual[n].tolist() == [i for i in range(N) if i not in inside]
        requested = torch.arange(N).repeat(20, 1)
        expected = torch.zeros(20, N, dtype=torch.bool).scatter(1, index, True)
        assert torch.equal(is_stored(index, requested), expected)
