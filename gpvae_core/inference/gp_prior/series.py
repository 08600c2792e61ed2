"""The arrangement of instances by group: each group, such as a video, is a row, padded to the longest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Series:
    """Positions of B instances of a batch in rows of G groups with up to T instances each."""

    index: Int64[Tensor, "G T"]
    """Position in the batch; padding repeats the last one of its row."""
    present: Bool[Tensor, "G T"]
    """Whether a place holds an instance, and is no padding."""

    @classmethod
    def of(cls, group: Int64[Tensor, " B"] | None, count: int, device: torch.device) -> Series:
        """Return the arrangement of instances whose groups have these codes; without codes all are one group."""
        if group is None:
            index = torch.arange(count, device=device)[None]
            return cls(index, torch.ones_like(index, dtype=torch.bool))
        order = torch.argsort(group, stable=True)
        _, sizes = torch.unique_consecutive(group[order], return_counts=True)
        starts = sizes.cumsum(0) - sizes
        place = torch.arange(int(sizes.max()), device=device)
        present = place < sizes[:, None]
        return cls(order[starts[:, None] + torch.minimum(place, sizes[:, None] - 1)], present)

    def spread(self, values: Float[Tensor, "B E"]) -> Float[Tensor, "G T E"]:
        """Return values of the instances in their places; padding has those of the last instance of its row."""
        return values[self.index]

    def gather(self, rows: Float[Tensor, "G E T"]) -> Float[Tensor, "B E"]:
        """Return the values at the instances' places in the batch's order, without the padding."""
        flat, positions = rows.mT[self.present], self.index[self.present]
        return torch.empty_like(flat).index_copy(0, positions, flat)


def whole_groups(
    group: Int64[Tensor, " N"], batch_size: int, generator: torch.Generator
) -> Iterator[Int64[Tensor, " B"]]:
    """Yield batches of whole groups in random order, each of as many groups as have about `batch_size` instances."""
    order = torch.argsort(group, stable=True)
    _, sizes = torch.unique_consecutive(group[order], return_counts=True)
    members = order.split(sizes.tolist())
    per_batch = max(1, batch_size * len(members) // len(group))
    shuffled = torch.randperm(len(members), generator=generator, device=generator.device).tolist()
    for start in range(0, len(members), per_batch):
        yield torch.cat([members[number] for number in shuffled[start : start + per_batch]])
