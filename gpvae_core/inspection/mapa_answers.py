"""MAPA for one instance of the Explorer: the kernel's width, and the codes that carry its mass."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import unknown
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.reference import TrainingReference
from gpvae_core.inspection.stages import Stages
from gpvae_core.inspection.views import Array, Plane
from gpvae_core.mapa import BANDWIDTHS, Bandwidth
from gpvae_core.mapa.bandwidth import choose_bandwidth, mapa

MASS, POINTS = 0.99, 60
"""Share of the mass that the displayed points hold, and their largest number."""


class MapaAnswers:
    """MAPA over the training images of one run; safe to use from several threads."""

    def __init__(self, stages: Stages) -> None:
        self._stages, self._run = stages, stages.run
        self._bandwidths = Memo()

    def bandwidth(self, kind: Bandwidth) -> tuple[float, str]:
        """Return the kernel's width, in pixel units, and its source. Raises UserError for an unknown kind."""
        if kind == "validation":
            return self._bandwidths.get(kind, self._chosen_bandwidth), "chosen on validation images"
        if kind != "sigma_x":
            raise unknown("bandwidth", kind, BANDWIDTHS)
        sigma_x = self._run.model.likelihood.noise_scale()
        return self.bandwidth("validation") if sigma_x is None else (sigma_x, "sigma_x of the likelihood")

    def _chosen_bandwidth(self) -> float:
        validation = self._run.data.validation.pixels().flatten(1).to(self._run.device)
        return float(choose_bandwidth(self._stages.reference().pixels, validation, None))

    def log_q(self, reference: TrainingReference, x: Float[Tensor, "1 C H W"], bandwidth: float) -> Array:
        """Return log q(i|n) over the training images, (N,), nats."""
        return mapa(reference.pixels, x.flatten(1), bandwidth)[0].cpu().double().numpy()

    def points(self, x: Float[Tensor, "1 C H W"], plane: Plane) -> tuple[Array, Array]:
        """Return the most probable codes that hold MASS of q(i|n), as points on the plane, and their q(i|n)."""
        reference = self._stages.reference_if_quick()
        if reference is None:
            return np.empty((0, 2)), np.empty(0)
        weights = np.exp(self.log_q(reference, x, self.bandwidth("sigma_x")[0]))
        order = np.argsort(-weights, kind="stable")
        count = int(np.searchsorted(np.cumsum(weights[order]), MASS)) + 1
        index = order[: min(count, POINTS)]
        return plane.coordinates(reference.codes[index]), weights[index]
