"""Shape of q(z|x) on a plane: an ellipse if q is a diagonal Gaussian, else the outline of its density."""

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
"""Samples from which the covariance of other densities than diagonal Gaussians is estimated."""


def encoder_shape(name: str, plane: Plane, q: Posterior, generator: torch.Generator) -> GaussianShape:
    """Return the Gaussian with q's moments on the plane, and q's outline unless q is a diagonal Gaussian."""
    mean = q.mean[0].cpu().double().numpy()
    if is_diagonal_gaussian(q, generator):
        return on_plane(name, plane, mean, np.diag(q.variance[0].cpu().double().numpy()))
    z, _ = q.rsample_and_log_prob(SAMPLES, generator)
    shape = on_plane(name, plane, mean, np.cov(z[:, 0].cpu().double().numpy(), rowvar=False))
    return replace(shape, outline=outline(q, plane))
