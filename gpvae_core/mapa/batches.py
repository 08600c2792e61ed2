"""Orders of the training points in an epoch, in which neighbours meet in a batch or do not.

What a batch costs is the number of distinct codes that its points' bounds need (D.2 of Yacoby et al. 2024). Neighbours
need the same ones, so that a batch of neighbours costs less; but its gradient is that of a part of the data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.errors import UserError


class Batching(ABC):
    """An order of the training points."""

    @abstractmethod
    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        """Return every training point once, on the generator's device; batches are cut from it."""


class RandomBatches(Batching):
    """Any order alike."""

    def __init__(self, n_total: int) -> None:
        self._n_total = n_total

    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        return torch.randperm(self._n_total, generator=generator, device=generator.device)


class NeighbourBatches(Batching):
    """Points in random order, each followed by its nearest that were not taken before, in groups of `size`.

    A group is smaller where all stored neighbours are taken. Groups follow each other in the order of their first
    points, so that a batch holds groups from anywhere.
    """

    def __init__(self, neighbours: Int64[Tensor, "N K"], size: int) -> None:
        """Args: neighbours: training points nearest to each, nearest first; itself may be among them.

        Raises:
            UserError: a size below 2, or of more than there are neighbours.
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
            near = self._neighbours[seed]
            group = near[free[near]][: self._size - 1]
            free[group] = False
            order[done] = seed
            order[done + 1 : done + 1 + len(group)] = group
            done += 1 + len(group)
        return torch.from_numpy(order).to(generator.device)
