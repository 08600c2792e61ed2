"""Exact searches: FAISS on the CPU, matrix products and top-k on other devices."""

from __future__ import annotations

import faiss
import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from gpvae_core.mapa.kernels.base import Metric
from gpvae_core.mapa.search import MARGIN, MEASURES, Candidates, Search, rounding

GATHERED = 1 << 26
"""Largest number of float32 values gathered for pairs on a device."""
SCORES = 1 << 28
"""Largest number of float32 values in the matrix of scores on a device."""
CENTRED = {Metric.SQUARED_DISTANCE: 1.0, Metric.INNER_PRODUCT: 0.0}
"""Factor of the mean that is subtracted from both sides: 1 if that leaves the statistic unchanged, else 0. Centring
shortens the vectors and so reduces cancellation."""


def faiss_pairs(
    metric: Metric, vectors: Float32[Tensor, "N Q"], queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]
) -> Float32[Tensor, "b c"]:
    """Return the statistic of each query and each of its candidates; infinite for the index -1."""
    queries, index = queries.contiguous(), index.contiguous()
    statistic = np.empty(index.shape, dtype=np.float32)
    # NOTE: the C++ function takes raw pointers, so that all four arrays must be contiguous and stay referenced.
    arrays = (statistic, queries.numpy(), vectors.numpy(), index.numpy())
    MEASURES[metric].faiss_pairs(*map(faiss.swig_ptr, arrays), queries.shape[1], *index.shape)
    return torch.from_numpy(statistic)


class ExactSearch(Search):
    """Base class of searches that compare every pair; their recall is 1."""

    def first_count(self, k: int) -> int:
        return k + MARGIN

    def group(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        return torch.zeros(len(queries), dtype=torch.int64)

    def recall(
        self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b k"], own: Int64[Tensor, " b"] | None
    ) -> float:
        return 1.0


class FaissExact(ExactSearch):
    """Exact search by FAISS on all CPU cores."""

    def __init__(self, vectors: Float32[Tensor, "N Q"], metric: Metric) -> None:
        self.metric, self.measure = metric, MEASURES[metric]
        self.vectors, self.size = vectors.contiguous(), len(vectors)
        self.centre = CENTRED[metric] * vectors.mean(0)
        self.centred = self.vectors - self.centre
        self.longest = float(self.centred.norm(dim=1).max())

    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        centred = (queries - self.centre).contiguous()
        statistic, index = faiss.knn(centred.numpy(), self.centred.numpy(), count, metric=self.measure.faiss_metric)
        # Other vectors are no nearer than the last candidate, up to the rounding of the fast search.
        last = self.measure.sign * torch.from_numpy(statistic[:, -1].copy())
        return Candidates(torch.from_numpy(index), last - rounding(centred, self.longest))

    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        return faiss_pairs(self.metric, self.vectors, queries, index)


class TorchExact(ExactSearch):
    """Exact search on a device by matrix products and top-k."""

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
            top = self.measure.scores(centred, self.centred).topk(count, dim=1, largest=False)
            index.append(top.indices.cpu())
            beyond.append((top.values[:, -1] - rounding(centred, self.longest)).cpu())
        return Candidates(torch.cat(index), torch.cat(beyond))

    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        statistic = torch.empty(index.shape, dtype=torch.float32)
        rows = max(GATHERED // (index.shape[1] * queries.shape[1] or 1), 1)
        for start in range(0, len(queries), rows):
            part = slice(start, start + rows)
            gathered = self.vectors[index[part].to(self.device)]
            statistic[part] = self.measure.pairs(queries[part].to(self.device)[:, None], gathered).cpu()
        return statistic
