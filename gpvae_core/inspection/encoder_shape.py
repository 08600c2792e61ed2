"""The encoder's answer on a plane: an ellipse where it is a diagonal Gaussian, the outline of its density elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.diagonal_gaussian import is_diagonal_gaussian
from gpvae_core.inspection.outline import outline
from gpvae_core.inspection.planes import on_plane
from gpvae_core.inspection.views import GaussianShape, Plane

SAMPLES = 2000


def encoder_shape(name: str, plane: Plane, q: Posterior, generator: torch.Generator) -> GaussianShape:
    """Return the Gaussian with q's mean and covariance on the plane, and q's outline where it is no diagonal Gaussian.

    The covariance is then that of SAMPLES samples.
    """
    mean = q.mean[0].cpu().double().numpy()
    if is_diagonal_gaussian(q, generator):
        return on_plane(name, plane, mean, np.diag(q.variance[0].cpu().double().numpy()))
    z, _ = q.rsample_and_log_prob(SAMPLES, generator)
    shape = on_plane(name, plane, mean, np.cov(z[:, 0].cpu().double().numpy(), rowvar=False))
    return replace(shape, outline=outline(q, plane))
