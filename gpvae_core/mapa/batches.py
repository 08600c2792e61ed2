"""Orders of the training points in an epoch: random, or with neighbours in the same batch.

The cost of a batch is the number of distinct codes in its points' bounds (D.2 of Yacoby et al. 2024). Neighbours share
codes, so that a batch of neighbours costs less, but its gradient represents only a part of the data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.errors import UserError


class Batching(ABC):
    """Base class of orders of the training points."""

    @abstractmethod
    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        """Return a permutation of the training points, on the generator's device, to be split into batches."""


class RandomBatches(Batching):
    """Uniformly random order."""

    def __init__(self, n_total: int) -> None:
        self._n_total = n_total

    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        return torch.randperm(self._n_total, generator=generator, device=generator.device)


class NeighbourBatches(Batching):
    """Groups of `size` points: a random point and its nearest neighbours that are in no earlier group.

    A group is smaller if all its stored neighbours are in earlier groups. The first points of the groups are in random
    order, so that a batch contains groups from different parts of the data.
    """

    def __init__(self, neighbours: Int64[Tensor, "N K"], size: int) -> None:
        """Store the neighbours of each training point, nearest first; a point may be among its own neighbours.

        Raises:
            UserError: the size is below 2, or exceeds the number of neighbours plus one.
        """
        if not 2 <= size <= neighbours.shape[1] + 1:
            raise UserError(
                f"wanted groups of 2 to {neighbours.shape[1] + 1} points (one and its {neighbours.shape[1]} stored "
                f"neighbours), got {size}"
            )
        self._neighbours, self._size = neighbours.numpy(), size

    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        n = len(self._neighbours)
        seeds = torch.randperm(n, generator=generator, device=generator.device).cpu().numpy()
        free, order = np.ones(n, dtype=bool), np.empty(n, dtype=np.int64)
        done = 0
        for seed in seeds:
            if not free[seed]:
                continue
            free[seed] = False
            neighbours = self._neighbours[seed]
            group = neighbours[free[neighbours]][: self._size - 1]
            free[group] = False
            order[done] = seed
            order[done + 1 : done + 1 + len(group)] = group
            done += 1 + len(group)
        return torch.from_numpy(order).to(generator.device)
