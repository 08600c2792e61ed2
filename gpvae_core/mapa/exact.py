"""Exact searches: FAISS on the CPU, products and top-k on another device."""

from __future__ import annotations

import faiss
import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from gpvae_core.mapa.kernels.base import Metric
from gpvae_core.mapa.search import MARGIN, MEASURES, Candidates, Search, rounding

GATHERED = 1 << 26
"""float32 numbers that are gathered at once for pairs on a device."""
SCORES = 1 << 28
"""float32 numbers of a device's matrix of scores."""
CENTRED = {Metric.SQUARED_DISTANCE: 1.0, Metric.INNER_PRODUCT: 0.0}
"""Whether the mean may be taken off both sides, which leaves fewer digits to cancel."""


def faiss_pairs(
    metric: Metric, vectors: Float32[Tensor, "N Q"], queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]
) -> Float32[Tensor, "b c"]:
    """Return statistic of each query and each of its candidates; of index -1 it is infinite."""
    queries, index = queries.contiguous(), index.contiguous()
    found = np.empty(index.shape, dtype=np.float32)
    arrays = (found, queries.numpy(), vectors.numpy(), index.numpy())
    MEASURES[metric].faiss_pairs(*map(faiss.swig_ptr, arrays), queries.shape[1], *index.shape)
    return torch.from_numpy(found)


class ExactSearch(Search):
    """A search that looks at every pair: in any order, and without a miss."""

    def first_count(self, k: int) -> int:
        return k + MARGIN

    def place(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        return torch.zeros(len(queries), dtype=torch.int64)

    def recall(
        self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b k"], own: Int64[Tensor, " b"] | None
    ) -> float:
        return 1.0


class FaissExact(ExactSearch):
    """Every pair by FAISS, on all cores."""

    def __init__(self, vectors: Float32[Tensor, "N Q"], metric: Metric) -> None:
        self.metric, self.measure = metric, MEASURES[metric]
        self.vectors, self.size = vectors.contiguous(), len(vectors)
        self.centre = CENTRED[metric] * vectors.mean(0)
        self.centred = self.vectors - self.centre
        self.longest = float(self.centred.norm(dim=1).max())

    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        centred = (queries - self.centre).contiguous()
        statistic, index = faiss.knn(centred.numpy(), self.centred.numpy(), count, metric=self.measure.faiss_metric)
        worst = self.measure.sign * torch.from_numpy(statistic[:, -1].copy())
        return Candidates(torch.from_numpy(index), worst - rounding(centred, self.longest))

    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        return faiss_pairs(self.metric, self.vectors, queries, index)


class TorchExact(ExactSearch):
    """Every pair on a device, as products and top-k."""

    def __init__(self, vectors: Float32[Tensor, "N Q"], metric: Metric, device: torch.device) -> None:
        self.measure, self.size, self.device = MEASURES[metric], len(vectors), device
        self.vectors = vectors.to(device)
        self.centre = CENTRED[metric] * self.vectors.mean(0)
        self.centred = self.vectors - self.centre
        self.longest = float(self.centred.norm(dim=1).max())

    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        index, beyond = [], []
        for part in queries.split(max(SCORES // self.size, 1)):
            centred = part.to(self.device) - self.centre
            found = self.measure.scores(centred, self.centred).topk(count, dim=1, largest=False)
            index.append(found.indices.cpu())
            beyond.append((found.values[:, -1] - rounding(centred, self.longest)).cpu())
        return Candidates(torch.cat(index), torch.cat(beyond))

    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        found = torch.empty(index.shape, dtype=torch.float32)
        rows = max(GATHERED // (index.shape[1] * queries.shape[1] or 1), 1)
        for start in range(0, len(queries), rows):
            part = slice(start, start + rows)
            near = self.vectors[index[part].to(self.device)]
            found[part] = self.measure.pairs(queries[part].to(self.device)[:, None], near).cpu()
        return found
