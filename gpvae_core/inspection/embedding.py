"""Map of latent means, into which new points can be embedded: by t-SNE (openTSNE), at d = 1 the latent line itself."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent

# openTSNE imports scikit-learn, which takes a second: import it only when a map is computed.
if TYPE_CHECKING:
    import openTSNE

MAX_POINTS = 5000
PERPLEXITY = 30.0
FEWEST = 10
"""Smallest number of points for t-SNE; fewer points are mapped to their first two principal components."""
PLACE_STEPS = 60
"""Steps of openTSNE's transform, after which a point moves by less than 1e-3 of the map's units."""
STEPS, REPORT_EVERY = 750, 25
"""openTSNE's default number of steps, 250 with early exaggeration and 500 without, and steps between reports."""
TSNE, COMPONENTS, EQUAL, LINE = "t-SNE", "principal components", "equal codes", "line"
"""Names of the methods: t-SNE, two principal components of few points, one place for all, and the line at d = 1."""
READ = {
    TSNE: "neighbours have similar codes (t-SNE keeps no distances)",
    COMPONENTS: f"its place is two principal components of its code (t-SNE wants at least {FEWEST} points)",
    EQUAL: "all codes are equal, so that all points lie in one place",
    LINE: "its place along the axis is its code; the height only keeps points apart",
}
"""Method -> how its map is to be read."""
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Step of the heights on the line, in which no two of any number of points come close to one another."""
THREADS = 1
"""Number of threads. More threads would add floats in varying order, and the map would not be reproducible."""


def seeded_sample(n: int, most: int, seed: int) -> np.ndarray:
    """Return range(n), or a sorted sample of `most` of its numbers without replacement."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False))


def _method(z: Array) -> str:
    """Return the method for the points z (M, D)."""
    if z.shape[1] == 1:
        return LINE
    if len(z) < FEWEST:
        return COMPONENTS
    return TSNE if np.ptp(z, axis=0).any() else EQUAL  # t-SNE divides by their standard deviation


class Embedding:
    """Map `xy` (M, 2) of points z (M, D), into which new points can be embedded; threads may share it."""

    def __init__(
        self,
        z: Array,
        seed: int,
        xy: Array | None = None,
        progress: Progress = silent,
        perplexity: float = PERPLEXITY,
    ) -> None:
        """Compute the map, or use `xy`, which was computed before by t-SNE from the same z, seed and perplexity."""
        self._wanted = perplexity
        self._z = np.asarray(z, dtype=np.float64)
        self._seed = seed
        self.method = _method(self._z)
        """One of TSNE, COMPONENTS, EQUAL and LINE."""
        self._lock = threading.Lock()
        self._tsne: openTSNE.TSNEEmbedding | None = None
        # Other maps than t-SNE's take no time, and a file of an older version may hold one by another method.
        stored = xy if self.method == TSNE else None
        self.xy = np.asarray(self._compute(progress) if stored is None else stored)

    @property
    def _perplexity(self) -> Any:  # NOTE: openTSNE accepts any number, but its type hint says int
        # t-SNE needs at least 3 * perplexity neighbours.
        return min(self._wanted, (len(self._z) - 1) / 3)

    def _compute(self, progress: Progress) -> Array:
        if self.method == LINE:
            return np.stack([self._z[:, 0], np.arange(len(self._z)) * GOLDEN % 1.0], axis=1)
        if self.method != TSNE:
            return self._components(self._z)
        done = itertools.count(REPORT_EVERY, REPORT_EVERY)
        progress(0, STEPS, "t-SNE map")
        import openTSNE

        tsne = openTSNE.TSNE(
            perplexity=self._perplexity,
            initialization="pca",
            n_jobs=THREADS,
            random_state=self._seed,
            callbacks=lambda *_: progress(next(done), STEPS, "t-SNE map"),
            callbacks_every_iters=REPORT_EVERY,
        )
        self._tsne = fitted = tsne.fit(self._z)
        # NOTE: a point that is placed later would count as steps of the map, in work that has ended.
        fitted.gradient_descent_params |= {"callbacks": None, "use_callbacks": False}
        xy = np.array(fitted)
        # NOTE: `transform` centres the map in place like this when it embeds a point; do it now, so that xy agrees.
        return xy - (xy.max(0) + xy.min(0)) / 2

    def _components(self, z: Array) -> Array:
        centre = self._z.mean(0)
        _, _, directions = np.linalg.svd(self._z - centre, full_matrices=True)
        return (z - centre) @ directions[:2].T

    def prepare_placing(self) -> None:
        """Compute the neighbourhoods, which embedding a new point needs and a map from a file does not contain."""
        with self._lock:
            if self.method != TSNE or self._tsne is not None:
                return
            import openTSNE
            from openTSNE.affinity import PerplexityBasedNN

            affinities = PerplexityBasedNN(
                self._z, perplexity=self._perplexity, n_jobs=THREADS, random_state=self._seed
            )
            self._tsne = openTSNE.TSNEEmbedding(self.xy.copy(), affinities, n_jobs=THREADS, random_state=self._seed)

    def place(self, z: Array) -> Array:
        """Return the position (2,) of a new latent mean (D,) on the map."""
        row = np.asarray(z, dtype=np.float64)[None]
        if self.method == LINE:
            return np.array([row[0, 0], 0.5])
        if self.method != TSNE:
            return self._components(row)[0]
        self.prepare_placing()
        assert self._tsne is not None
        neighbours = min(25, len(self._z) - 1)
        perplexity: Any = min(5.0, neighbours / 3)
        with self._lock:  # `transform` modifies the embedding
            placed = self._tsne.transform(row, perplexity=perplexity, k=neighbours, n_iter=PLACE_STEPS)
        return np.array(placed)[0]
