"""Approximate search by FAISS: lists of near points in their principal directions, then the whole vectors.

The N vectors are projected on a few principal directions and put into about 2 sqrt(N) lists by k-means. Of a query, the
lists around it are read and the nearest in the projection become candidates; `search.nearest` orders these by their
whole vectors. How many directions, lists and candidates is settled on a sample of queries whose neighbours are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from faiss.contrib.ivf_tools import add_preassigned
from jaxtyping import Float32, Int64
from torch import Tensor

from gpvae_core.mapa.exact import FaissExact, faiss_pairs
from gpvae_core.mapa.kernels.base import Metric
from gpvae_core.mapa.search import FAISS, Candidates, Search, nearest, share

RECALL = 0.96
"""Wanted of the sample, so that all queries have 0.95."""
PROJECTED_RECALL = 0.98
"""Wanted of the projection alone, were all lists read."""
DIRECTIONS, MOST_CANDIDATES = 64, 2.0
"""Directions at first; doubled until MOST_CANDIDATES times k candidates are enough."""
PCA_ROWS, PCA_SPARE, PCA_ROUNDS = 16384, 16, 3
KMEANS_ROUNDS, KMEANS_POINTS = 10, 64
"""Iterations, and points for each list on which these run."""
PROBE_STEP = 1.25


def principal_directions(x: Float32[Tensor, "N Q"], count: int, generator: torch.Generator) -> Float32[Tensor, "Q d"]:
    """Return the first `count` principal directions of x, most variance first, by power iterations on a block."""
    x = x[:: -(-len(x) // PCA_ROWS)]
    x = x - x.mean(0)
    width = min(count + PCA_SPARE, x.shape[1])
    block = torch.randn(x.shape[1], width, generator=generator)
    for _ in range(PCA_ROUNDS):
        # Subspace iteration: X'X raises the share of the directions with most variance; QR keeps them independent.
        block = torch.linalg.qr(x.T @ (x @ block)).Q
    # Rayleigh-Ritz: principal directions within the block, in float64; eigh sorts from the smallest, so flip.
    turn = torch.linalg.eigh((x @ block).double().T @ (x @ block).double()).eigenvectors.flip(1)
    return (block @ turn.float())[:, :count].contiguous()


@dataclass(frozen=True)
class Projection:
    """Vectors in their first principal directions."""

    basis: Float32[Tensor, "Q d"]
    vectors: Float32[Tensor, "N d"]
    candidates: int
    """So many of the nearest in the projection hold PROJECTED_RECALL of the k nearest."""


@dataclass(frozen=True)
class KnownQueries:
    """Queries whose neighbours are known."""

    queries: Float32[Tensor, "b Q"]
    index: Int64[Tensor, "b k"]


class FaissApproximate(Search):
    """An inverted file over principal directions, with the whole vectors beside it."""

    def __init__(
        self, vectors: Float32[Tensor, "N Q"], metric: Metric, queries: Float32[Tensor, "b Q"], k: int, seed: int
    ) -> None:
        """`queries` is a sample of those to come, on which the search is settled for their k nearest."""
        exact = self.exact = FaissExact(vectors, metric)
        self.metric, self.measure, self.size = metric, exact.measure, exact.size
        self.vectors, self.centre = exact.vectors, exact.centre
        sample = KnownQueries(queries, nearest(exact, queries, k).index)
        projection = self._project(sample, torch.Generator().manual_seed(seed))
        self.basis, self.fetched = projection.basis, projection.candidates
        self.lists = self._file(projection.vectors, seed)
        self.probes = self._probes(sample)

    def first_count(self, k: int) -> int:
        return self.fetched

    def place(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        """Return the list that each query reads first."""
        return torch.from_numpy(self.lists.quantizer.search(self._projected(queries), 1)[1][:, 0])

    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        every = count > self.fetched or count == self.size
        return Candidates(self._read(queries, count, self.lists.nlist if every else self.probes), None)

    def recall(
        self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b k"], own: Int64[Tensor, " b"] | None
    ) -> float:
        return share(nearest(self.exact, queries, index.shape[1], own).index, index)

    def pairs(self, queries: Float32[Tensor, "b Q"], index: Int64[Tensor, "b c"]) -> Float32[Tensor, "b c"]:
        return faiss_pairs(self.metric, self.vectors, queries, index)

    def _projected(self, queries: Tensor) -> np.ndarray:
        return ((queries - self.centre) @ self.basis).numpy()

    def _read(self, queries: Tensor, count: int, probes: int) -> Tensor:
        settings = FAISS.SearchParametersIVF(nprobe=probes)
        return torch.from_numpy(self.lists.search(self._projected(queries), count, params=settings)[1])

    def _project(self, sample: KnownQueries, generator: torch.Generator) -> Projection:
        """Directions are doubled until few enough candidates are needed."""
        k, whole = sample.index.shape[1], self.vectors.shape[1]
        most = min(math.ceil(MOST_CANDIDATES * k) + 1, self.size)
        d = min(DIRECTIONS, whole)
        while True:
            basis = principal_directions(self.vectors, d, generator)
            projected = self.vectors @ basis - self.vectors.mean(0) @ basis
            found = FAISS.knn(
                ((sample.queries - self.centre) @ basis).numpy(),
                projected.numpy(),
                most,
                metric=self.measure.faiss_metric,
            )[1]
            enough = _enough(sample, torch.from_numpy(found))
            if enough is not None or d == whole:
                return Projection(basis, projected, enough or most)
            d = min(2 * d, whole)

    def _file(self, projected: Tensor, seed: int) -> Any:
        """Lists by Euclidean k-means whatever the metric; which of them a query reads is by the metric."""
        d, count = projected.shape[1], max(min(round(2 * math.sqrt(self.size)), self.size // 8), 1)
        points = projected.numpy()
        kmeans = FAISS.Kmeans(
            d,
            count,
            niter=KMEANS_ROUNDS,
            seed=seed + 1,
            min_points_per_centroid=1,
            max_points_per_centroid=KMEANS_POINTS,
        )
        kmeans.train(points)
        lists = FAISS.IndexIVFFlat(FAISS.IndexFlat(d, self.measure.faiss_metric), d, count, self.measure.faiss_metric)
        lists.quantizer.add(kmeans.centroids)
        lists.is_trained = True
        add_preassigned(lists, points, FAISS.knn(points, kmeans.centroids, 1)[1][:, 0])
        return lists

    def _probes(self, sample: KnownQueries) -> int:
        """Return the fewest lists to read for the wanted recall of the sample."""
        probes = 1
        while probes < self.lists.nlist:
            if share(sample.index, self._read(sample.queries, self.fetched, probes)) >= RECALL:
                return probes
            probes = math.ceil(PROBE_STEP * probes)
        return self.lists.nlist


def _enough(sample: KnownQueries, index: Int64[Tensor, "b c"]) -> int | None:
    """Return the fewest first candidates with PROJECTED_RECALL of the sample's neighbours; None where all have less."""
    k, most = sample.index.shape[1], index.shape[1]
    for count in range(k, most + 1, max(k // 20, 1)):
        if share(sample.index, index[:, :count]) >= PROJECTED_RECALL:
            return count
    return None
