"""log p(x) by quadrature on a checked grid over the latent plane, for d = 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.estimators.base import AT_ONCE, Estimator
from gpvae_core.truth.evidence import Evidence
from gpvae_core.truth.grid import GridPosterior, true_posteriors
from gpvae_core.truth.quadrature import Quadrature
from gpvae_core.vae import GenerativeModel


class GridEvidence(Estimator):
    """Estimator of log p(x), negentropy and modes on the grid, with a few posteriors in memory at a time."""

    exact: ClassVar[bool] = True

    def __init__(self, model: GenerativeModel, quadrature: Quadrature) -> None:
        self._model, self._quadrature = model, quadrature

    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        atlas = self._quadrature.atlas(progress)
        parts: list[Evidence] = []
        for low in range(0, len(x), AT_ONCE):
            parts.append(_evidence(true_posteriors(self._model, atlas, x[low : low + AT_ONCE])))
            progress(min(low + AT_ONCE, len(x)), len(x), "true posteriors")
        return Evidence.joined(parts)

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        return self.log_px(x, seed)


def _evidence(grids: Sequence[GridPosterior]) -> Evidence:
    """Return the evidence from the posteriors, with the images for which the atlas was not enough."""
    refined = np.array([grid.refined for grid in grids])
    return replace(Evidence.of_posteriors("grid", grids), refined=refined)
