"""Series of a batch: every instance has its place, padding has no effect, and batches are whole groups."""

from __future__ import annotations

import torch

from gpvae_core.inference.gp_prior.series import Series, whole_groups

GROUP = torch.tensor([7, 2, 7, 7, 5, 2])


def test_instances_go_to_their_rows_and_back() -> None:
    series = Series.of(GROUP, 6, GROUP.device)
    assert series.present.sum(1).tolist() == [2, 1, 3]
    values = torch.arange(12.0).reshape(6, 2)
    rows = series.spread(values)
    assert rows[0, :2].tolist() == values[[1, 5]].tolist()
    assert rows[1].tolist() == [values[4].tolist()] * 3, "padding repeats the last"
    torch.testing.assert_close(series.gather(rows.mT), values)


def test_gathering_passes_gradients_to_the_places_alone() -> None:
    series = Series.of(GROUP, 6, GROUP.device)
    rows = torch.zeros(3, 2, 3, requires_grad=True)
    series.gather(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad[:, 0].tolist() == series.present.float().tolist()


def test_without_groups_all_are_one_row() -> None:
    series = Series.of(None, 4, GROUP.device)
    assert series.index.tolist() == [[0, 1, 2, 3]]
    assert bool(series.present.all())


def test_batches_are_whole_groups_each_once() -> None:
    group = torch.arange(40) // 4
    batches = list(whole_groups(group, 12, torch.Generator().manual_seed(0)))
    assert [len(b) for b in batches] == [12, 12, 12, 4]
    assert torch.cat(batches).sort().values.tolist() == list(range(40))
    for batch in batches:
        assert len(group[batch].unique()) * 4 == len(batch)
    again = whole_groups(group, 12, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert [len(b) for b in whole_groups(group, 1, torch.Generator())] == [4] * 10, "a group larger than a batch"
