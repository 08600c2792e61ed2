"""The encoder's answer on a plane: an ellipse where it is a diagonal Gaussian, the region of its density elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gpvae_core.encoders.base import Posterior
from gpvae_core.encoders.gaussian import is_diagonal_gaussian
from gpvae_core.explore.planes import on_plane
from gpvae_core.explore.views import Array, GaussianShape, Plane, Region

SAMPLES = 2000
MASS = 0.9


def encoder_shape(name: str, plane: Plane, q: Posterior, generator: torch.Generator) -> GaussianShape:
    """The Gaussian with q's mean and covariance (by SAMPLES samples unless it is a diagonal Gaussian), on the plane."""
    mean = q.mean[0].cpu().double().numpy()
    if is_diagonal_gaussian(q, generator):
        return on_plane(name, plane, mean, np.diag(q.variance[0].cpu().double().numpy()))
    z, _ = q.rsample_and_log_prob(SAMPLES, generator)
    return on_plane(name, plane, mean, np.cov(z[:, 0].cpu().double().numpy(), rowvar=False))


def with_region(
    shape: GaussianShape, plane: Plane, q: Posterior, x: Array, y: Array, generator: torch.Generator
) -> GaussianShape:
    """The shape with the region that holds MASS of q (on a slice: of q's mass in the window), unless it is an ellipse.

    On the latent plane the threshold is the quantile of log q over samples of q, so it does not depend on the window.
    """
    if is_diagonal_gaussian(q, generator):
        return shape
    u, w = np.meshgrid(x, y)
    points = plane.origin + np.stack([u, w], axis=-1).reshape(-1, 2) @ plane.axes
    z = torch.as_tensor(points, dtype=q.mean.dtype, device=q.mean.device)
    log_q = q.log_prob(z[:, None, :])[:, 0].cpu().double().numpy().reshape(u.shape)
    if plane.is_slice:
        level = _slice_level(x, y, log_q)
    else:
        _, of_samples = q.rsample_and_log_prob(SAMPLES, generator)
        level = float(torch.quantile(of_samples[:, 0].cpu().double(), 1 - MASS))
    return replace(shape, region=Region(x, y, log_q, level))


def _slice_level(x: Array, y: Array, log_q: Array) -> float:
    """Threshold of the MASS region of the grid, whose cells differ in size."""
    cell = np.gradient(y)[:, None] * np.gradient(x)[None, :]
    order = np.argsort(-log_q, axis=None)
    mass = np.cumsum((np.exp(log_q - log_q.max()) * cell).ravel()[order])
    return float(log_q.ravel()[order[np.searchsorted(mass, MASS * mass[-1])]])
