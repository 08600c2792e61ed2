"""The interface of the estimators of log p(x)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.evidence import Evidence

AT_ONCE = 32
"""Number of images whose posteriors, importance weights or chains are in memory together."""


class Estimator(ABC):
    """An estimator of log p(x) under one model; its result for an image does not depend on the image's batch."""

    exact: ClassVar[bool]
    """Whether log p(x) is computed by quadrature; otherwise the estimate is a lower bound in expectation."""

    @abstractmethod
    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        """Return log p(x) of each image in nats.

        Args:
            seed: seed of the noise; quadrature has none.
            best: best Gaussians of the images, from which a sampler starts; computed where they are not given.
        """

    @abstractmethod
    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return log p(x) within tens of milliseconds for each image: by quadrature if exact, else a looser bound."""
