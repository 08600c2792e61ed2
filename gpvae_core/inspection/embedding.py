"""t-SNE map of latent means, into which new points can be embedded (openTSNE)."""

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
THREADS = 1
"""Number of threads. More threads would add floats in varying order, and the map would not be reproducible."""


def seeded_sample(n: int, most: int, seed: int) -> np.ndarray:
    """Return range(n), or a sorted sample of `most` of its numbers without replacement."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False))


def _at_least_two_columns(z: Array) -> Array:
    """Return z (M, D), with a constant column added if D = 1.

    That leaves distances unchanged, and t-SNE can be initialized with two principal components.
    """
    return z if z.shape[1] > 1 else np.concatenate([z, np.zeros_like(z)], axis=1)


class Embedding:
    """Map `xy` (M, 2) of points z (M, D), into which new points can be embedded; threads may share it."""

    def __init__(self, z: Array, seed: int, xy: Array | None = None, progress: Progress = silent) -> None:
        """Compute the map, or use `xy`, which was computed before from the same z and seed."""
        self._z = _at_least_two_columns(np.asarray(z, dtype=np.float64))
        self._seed = seed
        self._is_tsne = len(z) >= FEWEST
        self._lock = threading.Lock()
        self._tsne: openTSNE.TSNEEmbedding | None = None
        self.xy = np.asarray(self._compute(progress) if xy is None else xy)

    @property
    def method(self) -> str:
        """The method of the map, in words."""
        return "t-SNE" if self._is_tsne else f"principal components (t-SNE wants at least {FEWEST} points)"

    @property
    def _perplexity(self) -> Any:  # NOTE: openTSNE accepts any number, but its type hint says int
        # t-SNE needs at least 3 * perplexity neighbours.
        return min(PERPLEXITY, (len(self._z) - 1) / 3)

    def _compute(self, progress: Progress) -> Array:
        if not self._is_tsne:
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
            if not self._is_tsne or self._tsne is not None:
                return
            import openTSNE
            from openTSNE.affinity import PerplexityBasedNN

            affinities = PerplexityBasedNN(
                self._z, perplexity=self._perplexity, n_jobs=THREADS, random_state=self._seed
            )
            self._tsne = openTSNE.TSNEEmbedding(self.xy.copy(), affinities, n_jobs=THREADS, random_state=self._seed)

    def place(self, z: Array) -> Array:
        """Return the position (2,) of a new latent mean (D,) on the map."""
        row = _at_least_two_columns(np.asarray(z, dtype=np.float64)[None])
        if not self._is_tsne:
            return self._components(row)[0]
        self.prepare_placing()
        assert self._tsne is not None
        neighbours = min(25, len(self._z) - 1)
        perplexity: Any = min(5.0, neighbours / 3)
        with self._lock:  # `transform` modifies the embedding
            placed = self._tsne.transform(row, perplexity=perplexity, k=neighbours, n_iter=PLACE_STEPS)
        return np.array(placed)[0]
