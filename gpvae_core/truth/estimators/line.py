"""log p(x) by quadrature along the latent line, for d = 1."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.estimators.base import Estimator
from gpvae_core.truth.evidence import Evidence
from gpvae_core.truth.quadrature import Quadrature


class LineEvidence(Estimator):
    """Estimator of log p(x) and negentropy on the nodes of the line."""

    exact: ClassVar[bool] = True

    def __init__(self, quadrature: Quadrature) -> None:
        self._quadrature = quadrature

    @torch.no_grad()
    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        line = self._quadrature.line(progress)
        moments = line.moments(x)
        return Evidence(
            kind="line",
            log_px=moments.log_px.numpy(),
            negentropy=moments.negentropy.numpy(),
            passed=line.passed(x).numpy(),
        )

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        return self.log_px(x, seed)
