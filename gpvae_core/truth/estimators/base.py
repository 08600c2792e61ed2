"""The protocol of a way to log p(x)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.evidence import Evidence

AT_ONCE = 32
"""Posteriors, importance weights or chains of so many images held at a time."""


class Estimator(ABC):
    """A way to log p(x) of any image under one model; the same for an image whatever batch it is asked in."""

    exact: ClassVar[bool]
    """Whether it is quadrature; otherwise it is a lower bound in expectation."""

    @abstractmethod
    def log_px(
        self,
        x: Float[Tensor, "B C H W"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Evidence:
        """Return log p(x) of each image.

        Args:
            best: the images' best Gaussians, from which a sampler starts; it finds them where they are not given.
        """

    @abstractmethod
    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return what can be said in tens of milliseconds an image: the same by quadrature, else a looser bound."""
