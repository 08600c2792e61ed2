"""t-SNE of latent means, and the place of a new point in it (openTSNE)."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent

# openTSNE and with it scikit-learn take a second to import; a page is up before it needs a map.
if TYPE_CHECKING:
    import openTSNE

MAX_POINTS = 5000
PERPLEXITY = 30.0
FEWEST = 10
"""With fewer points than this a neighbourhood means nothing: the map is then their first two principal components."""
PLACE_STEPS = 60
"""Steps of openTSNE's transform; by then a point has stopped moving to 1e-3 of the map's units."""
STEPS, REPORT_EVERY = 750, 25
"""openTSNE's default: 250 steps of early exaggeration and 500 more."""
THREADS = 1
"""A map is repeatable only if its sums are taken in one order."""


def seeded_sample(n: int, most: int, seed: int) -> np.ndarray:
    """Return all of range(n), or `most` of it drawn without replacement, sorted."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False))


def _at_least_two_columns(z: Array) -> Array:
    """A constant column beside a one-dimensional latent: distances stay, the start by principal components exists."""
    return z if z.shape[1] > 1 else np.concatenate([z, np.zeros_like(z)], axis=1)


class Embedding:
    """The map of points z (M, D): `xy` (M, 2), and where a new point goes."""

    def __init__(self, z: Array, seed: int, xy: Array | None = None, progress: Progress = silent) -> None:
        """Computes the map, or takes over `xy` that was computed before from the same z and seed."""
        self._z = _at_least_two_columns(np.asarray(z, dtype=np.float64))
        self._seed = seed
        self._is_tsne = len(z) >= FEWEST
        self._lock = threading.Lock()
        self._tsne: openTSNE.TSNEEmbedding | None = None
        self.xy = np.asarray(self._compute(progress) if xy is None else xy)

    @property
    def method(self) -> str:
        return "t-SNE" if self._is_tsne else f"principal components (t-SNE wants at least {FEWEST} points)"

    @property
    def _perplexity(self) -> Any:  # openTSNE takes any number, its type hint says int
        return min(PERPLEXITY, (len(self._z) - 1) / 3)

    def _compute(self, progress: Progress) -> Array:
        if not self._is_tsne:
            return self._components(self._z)
        done = itertools.count(REPORT_EVERY, REPORT_EVERY)
        import openTSNE

        tsne = openTSNE.TSNE(
            perplexity=self._perplexity,
            initialization="pca",
            n_jobs=THREADS,
            random_state=self._seed,
            callbacks=lambda *_: progress(next(done), STEPS, "t-SNE map"),
            callbacks_every_iters=REPORT_EVERY,
        )
        self._tsne = tsne.fit(self._z)
        xy = np.array(self._tsne)
        return xy - (xy.max(0) + xy.min(0)) / 2  # where openTSNE moves the map, in place, when it places a point

    def _components(self, z: Array) -> Array:
        centre = self._z.mean(0)
        _, _, directions = np.linalg.svd(self._z - centre, full_matrices=True)
        return (z - centre) @ directions[:2].T

    def prepare_placing(self) -> None:
        """Rebuild what a map taken from a file lacks: its neighbourhoods, from which new points are placed."""
        with self._lock:
            if not self._is_tsne or self._tsne is not None:
                return
            import openTSNE
            from openTSNE.affinity import PerplexityBasedNN

            affinities = PerplexityBasedNN(
                self._z, perplexity=self._perplexity, n_jobs=THREADS, random_state=self._seed
            )
            self._tsne = openTSNE.TSNEEmbedding(self.xy.copy(), affinities, n_jobs=THREADS, random_state=self._seed)

    def place(self, z: Array) -> Array:
        """Return the place of a new latent mean (D,) on the map, (2,)."""
        row = _at_least_two_columns(np.asarray(z, dtype=np.float64)[None])
        if not self._is_tsne:
            return self._components(row)[0]
        self.prepare_placing()
        assert self._tsne is not None
        neighbours = min(25, len(self._z) - 1)
        perplexity: Any = min(5.0, neighbours / 3)
        with self._lock:
            placed = self._tsne.transform(row, perplexity=perplexity, k=neighbours, n_iter=PLACE_STEPS)
        return np.array(placed)[0]
