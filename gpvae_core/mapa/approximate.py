"""Approximate search by FAISS: an inverted file over principal directions, then exact distances of the candidates.

The N vectors are projected onto a few principal directions and partitioned by k-means into about 2 sqrt(N) lists. For
a query, the nearest lists are read and the nearest projections become candidates; `search.nearest` orders these by
their full vectors. The numbers of directions, lists and candidates are tuned on queries whose neighbours are known.
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
"""Recall required on the sample, so that all queries together reach 0.95."""
PROJECTED_RECALL = 0.98
"""Recall required of the projection alone, if all lists are read."""
DIRECTIONS, MOST_CANDIDATES = 64, 2.0
"""Initial number of directions, which is doubled until MOST_CANDIDATES times k candidates suffice."""
PCA_ROWS, PCA_SPARE, PCA_ROUNDS = 16384, 16, 3
"""Rows used by the randomized PCA, its oversampling, and its number of power iterations."""
KMEANS_ROUNDS, KMEANS_POINTS = 10, 64
"""Iterations of k-means, and training points per list."""
PROBE_STEP = 1.25
"""Factor by which the number of lists read grows while it is tuned."""


def principal_directions(x: Float32[Tensor, "N Q"], count: int, generator: torch.Generator) -> Float32[Tensor, "Q d"]:
    """Return the first `count` principal directions of x by subspace iteration, in descending order of variance."""
    x = x[:: -(-len(x) // PCA_ROWS)]
    x = x - x.mean(0)
    width = min(count + PCA_SPARE, x.shape[1])
    block = torch.randn(x.shape[1], width, generator=generator)
    for _ in range(PCA_ROUNDS):
        # Subspace iteration: X'X amplifies the directions of largest variance; QR keeps the columns independent.
        block = torch.linalg.qr(x.T @ (x @ block)).Q
    # Rayleigh-Ritz: the principal directions within the block, in float64; eigh sorts in ascending order, so flip.
    rotation = torch.linalg.eigh((x @ block).double().T @ (x @ block).double()).eigenvectors.flip(1)
    return (block @ rotation.float())[:, :count].contiguous()


@dataclass(frozen=True)
class Projection:
    """Projection of the vectors onto their first principal directions."""

    basis: Float32[Tensor, "Q d"]
    vectors: Float32[Tensor, "N d"]
    candidates: int
    """Number of nearest projections that contain PROJECTED_RECALL of the k nearest vectors."""


@dataclass(frozen=True)
class KnownQueries:
    """Queries with their exact neighbours."""

    queries: Float32[Tensor, "b Q"]
    index: Int64[Tensor, "b k"]


class FaissApproximate(Search):
    """Inverted file over principal directions, together with the full vectors."""

    def __init__(
        self, vectors: Float32[Tensor, "N Q"], metric: Metric, queries: Float32[Tensor, "b Q"], k: int, seed: int
    ) -> None:
        """Build the index and tune it for the k nearest vectors of `queries`, a sample of the later queries."""
        exact = self.exact = FaissExact(vectors, metric)
        self.metric, self.measure, self.size = metric, exact.measure, exact.size
        self.vectors, self.centre = exact.vectors, exact.centre
        sample = KnownQueries(queries, nearest(exact, queries, k).index)
        projection = self._project(sample, torch.Generator().manual_seed(seed))
        self.basis, self.count = projection.basis, projection.candidates
        self.lists = self._inverted_file(projection.vectors, seed)
        self.probes = self._probes(sample)

    def first_count(self, k: int) -> int:
        return self.count

    def group(self, queries: Float32[Tensor, "b Q"]) -> Int64[Tensor, " b"]:
        """Return the list nearest to each query."""
        return torch.from_numpy(self.lists.quantizer.search(self._projected(queries), 1)[1][:, 0])

    def candidates(self, queries: Float32[Tensor, "b Q"], count: int) -> Candidates:
        exhaustive = count > self.count or count == self.size  # a repeated search reads all lists
        return Candidates(self._read(queries, count, self.lists.nlist if exhaustive else self.probes), None)

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
        """Return a projection, doubling its directions until few enough candidates reach PROJECTED_RECALL."""
        k, full = sample.index.shape[1], self.vectors.shape[1]
        most = min(math.ceil(MOST_CANDIDATES * k) + 1, self.size)
        d = min(DIRECTIONS, full)
        while True:
            basis = principal_directions(self.vectors, d, generator)
            projected = self.vectors @ basis - self.vectors.mean(0) @ basis
            index = FAISS.knn(
                ((sample.queries - self.centre) @ basis).numpy(),
                projected.numpy(),
                most,
                metric=self.measure.faiss_metric,
            )[1]
            candidates = _fewest_candidates(sample, torch.from_numpy(index))
            if candidates is not None or d == full:
                return Projection(basis, projected, candidates or most)
            d = min(2 * d, full)

    def _inverted_file(self, projected: Tensor, seed: int) -> Any:
        """Return a FAISS index whose lists come from Euclidean k-means; queries choose lists by the metric."""
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
        # NOTE: FAISS would assign vectors to lists by the index's metric; for an inner product that puts most of them
        # into the lists of the longest centroids. So train by hand and assign by Euclidean distance.
        lists.quantizer.add(kmeans.centroids)
        lists.is_trained = True
        add_preassigned(lists, points, FAISS.knn(points, kmeans.centroids, 1)[1][:, 0])
        return lists

    def _probes(self, sample: KnownQueries) -> int:
        """Return the smallest number of lists to read that reaches RECALL on the sample."""
        probes = 1
        while probes < self.lists.nlist:
            if share(sample.index, self._read(sample.queries, self.count, probes)) >= RECALL:
                return probes
            probes = math.ceil(PROBE_STEP * probes)
        return self.lists.nlist


def _fewest_candidates(sample: KnownQueries, index: Int64[Tensor, "b c"]) -> int | None:
    """Return the smallest number of leading candidates that reaches PROJECTED_RECALL; None if all do not."""
    k, most = sample.index.shape[1], index.shape[1]
    for count in range(k, most + 1, max(k // 20, 1)):
        if share(sample.index, index[:, :count]) >= PROJECTED_RECALL:
            return count
    return None
