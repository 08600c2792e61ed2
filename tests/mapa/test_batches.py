"""Batches in which neighbours meet, and the passes that batches need."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.batches import NeighbourBatches, RandomBatches
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.mapa.passes import Passes, iwae_passes, mapa_passes, max_passes, pass_table
from gpvae_core.mapa.proposals import MapaProposal, UniformProposal

N = 300
X = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
KERNEL = GaussianKernel(0.2)
TABLE: NeighbourTable = find_neighbours(X, KERNEL, N, device="cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(seeds: Tensor, size: int) -> list[int]:
    """Each seed not yet taken, and behind it the nearest not yet taken."""
    order: list[int] = []
    for seed in seeds.tolist():
        if seed not in order:
            order.append(seed)
            near = sorted(range(N), key=lambda i: (float((X[i] - X[seed]).square().sum()), i))
            order += [i for i in near if i not in order][: size - 1]
    return order


@pytest.mark.parametrize("size", [2, 7, N])
def test_groups_are_a_point_and_its_nearest_not_yet_taken(size: int) -> None:
    order = NeighbourBatches(TABLE.index, size).order(generator(3))
    assert order.tolist() == by_hand(torch.randperm(N, generator=generator(3)), size)
    assert sorted(order.tolist()) == list(range(N))


def test_with_few_neighbours_stored_every_point_still_comes_once() -> None:
    order = NeighbourBatches(TABLE.index[:, :4], 5).order(generator(3))
    assert sorted(order.tolist()) == list(range(N))


def test_epochs_differ_and_are_reproducible() -> None:
    for batching in (RandomBatches(N), NeighbourBatches(TABLE.index, 10)):
        rng = generator(1)
        first, second = batching.order(rng), batching.order(rng)
        assert not torch.equal(first, second)
        assert torch.equal(first, batching.order(generator(1)))


@pytest.mark.parametrize("size", [1, 6])
def test_a_group_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(UserError, match="wanted groups of 2 to 5 points"):
        NeighbourBatches(TABLE.index[:, :4], size)


def passes(batching: RandomBatches | NeighbourBatches, k: int = 3, samples: int = 10) -> Passes:
    return mapa_passes(MapaProposal(TABLE.posterior(KERNEL)), batching, samples, k, N, batch_size=30)


def test_batches_of_neighbours_need_fewer_passes() -> None:
    assert passes(NeighbourBatches(TABLE.index, 30)).decoder < 0.6 * passes(RandomBatches(N)).decoder


def test_passes_are_the_distinct_indices_of_a_batch() -> None:
    """The autoencoder has one a point; uniform draws have N (1 - (1 - 1/N)^(B S)) a batch, for tails that skip few."""
    assert passes(RandomBatches(N), 1, 0) == Passes("MAPA", 0, 1, 1.0, 1.0)
    actual = mapa_passes(UniformProposal(N), RandomBatches(N), 4, 0, N, batch_size=30, batches=200)
    assert actual.decoder == pytest.approx(N * (1 - (1 - 1 / N) ** 120) / 30, rel=0.01)
    assert (actual.encoder, actual.both) == (actual.decoder, 2 * actual.decoder)
    assert passes(RandomBatches(N), N, 0).decoder == max_passes(0, N, 30).decoder == N / 30


def test_the_table_has_mapa_iwae_and_the_most_for_each_s() -> None:
    rows = pass_table(MapaProposal(TABLE.posterior(KERNEL)), RandomBatches(N), N, samples=(1, 50), batch_size=30)
    assert [(row.method, row.samples, row.k) for row in rows] == [
        ("MAPA", 1, 1),
        ("IWAE", 1, None),
        ("MAPA max", 1, None),
        ("MAPA", 50, 5),
        ("MAPA", 50, 45),
        ("IWAE", 50, None),
        ("MAPA max", 50, None),
    ]
    ten, ninety, iwae, most = rows[3:]
    assert (iwae.decoder, iwae.encoder, iwae.both) == (50, 1, 51)
    assert iwae == iwae_passes(50)
    assert 1 < ten.decoder < iwae.decoder
    assert ten.decoder < ninety.decoder <= most.decoder
