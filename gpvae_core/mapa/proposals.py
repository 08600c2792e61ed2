"""Proposals of the bound's indices: MAPA, the model's own index posterior, or the uniform (Yacoby et al. 2024).

The bound is valid for any proposal, and tighter the closer the proposal is to the model's index posterior.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.mapa.draws import IndexDraw, draw_dense, draw_sparse, draw_uniform
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.sparse import SparsePosterior


class Proposal(ABC):
    """Base class of the proposals of indices for training points."""

    @abstractmethod
    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        """Draw indices for the training points `index`; `index` and `generator` are on the CPU."""


class MapaProposal(Proposal):
    """MAPA: q(i|n) of eq. 8, computed once before training."""

    def __init__(self, posterior: SparsePosterior) -> None:
        self.posterior = posterior

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        return draw_sparse(self.posterior, k, samples, generator, points=index)


class ModelProposal(Proposal):
    """MAPA-GT: p(i|n) of eq. 7 under the current model, which decodes all N codes at every step, without gradients.

    The importance weights p(x_n|i) / q~ of the tail are then constant, so that the bound is exact for any S >= 1.
    """

    def __init__(self, model: EmpiricalizedModel) -> None:
        self._model = model

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        every = torch.arange(self._model.n_total)
        log_p = self._model.decoded(every).log_index_posterior(self._model.points(index))
        draw = draw_dense(log_p, k, samples, generator)
        return IndexDraw(draw.head, draw.tail, draw.log_q, passes=self._model.n_total)


class UniformProposal(Proposal):
    """MAPA-naive: the uniform distribution over all indices, a baseline for MAPA."""

    def __init__(self, n_total: int) -> None:
        self._n_total = n_total

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        return draw_uniform(len(index), self._n_total, k, samples, generator)
