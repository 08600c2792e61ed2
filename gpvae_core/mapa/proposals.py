"""The proposals of the bound's indices: MAPA, the model's own index posterior, or the uniform (Yacoby et al. 2024).

Whatever the proposal, the bound stays one; the nearer the proposal is to the model's posterior, the tighter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.mapa.draws import IndexDraw, draw_dense, draw_evenly, draw_sparse
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.sparse import SparsePosterior


class Proposal(ABC):
    """Index posteriors of the training points."""

    @abstractmethod
    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        """Draw for the training points `index`; `index` and `generator` are the CPU's."""


class MapaProposal(Proposal):
    """q(i|n) of eq. 8, found once before training."""

    def __init__(self, posterior: SparsePosterior) -> None:
        self.posterior = posterior

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        return draw_sparse(self.posterior, k, samples, generator, which=index)


class ModelProposal(Proposal):
    """p(i|n) of eq. 7 by the model as it is now ("MAPA-GT"): every step decodes all N codes, without a gradient.

    The tail's weights p(x_n|i) / q~ are then one constant, so that the bound is exact from S = 1 on.
    """

    def __init__(self, model: EmpiricalizedModel) -> None:
        self._model = model

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        every = torch.arange(self._model.n_total)
        log_p = self._model.decoded(every).log_index_posterior(self._model.points(index))
        found = draw_dense(log_p, k, samples, generator)
        return IndexDraw(found.head, found.tail, found.log_q, passes=self._model.n_total)


class EvenProposal(Proposal):
    """All indices alike ("MAPA-naive"): what the bound is worth without MAPA."""

    def __init__(self, n_total: int) -> None:
        self._n_total = n_total

    def draw(self, index: Int64[Tensor, " B"], k: int, samples: int, generator: torch.Generator) -> IndexDraw:
        return draw_evenly(len(index), self._n_total, k, samples, generator)
