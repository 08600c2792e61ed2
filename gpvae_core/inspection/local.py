"""Laplace approximation of the posterior in any dimension: the mode by L-BFGS on log p(x, z), then the Hessian there.

The Hessian is exact (double backward). For a Gaussian likelihood and a piecewise linear decoder the precision equals
I + J'J / sigma_x^2, with J the decoder's Jacobian at the mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.inspection.views import Array
from gpvae_core.vae import VAE

ITERATIONS = 100
MIN_PRECISION = 0.04
"""Lower bound on the eigenvalues of the precision (a standard deviation of 5 prior units). At a kink of the decoder the
mode need not be a smooth maximum, and the Hessian not be definite."""


@dataclass(frozen=True)
class LocalPosterior:
    """The Laplace approximation N(mode, precision^-1)."""

    mode: Array
    """(D,)."""
    log_joint: float
    """log p(x, mode) in nats."""
    precision: Array
    """(D, D), minus the Hessian of log p(x, z) at the mode."""

    @property
    def covariance(self) -> Array:
        """The covariance, (D, D)."""
        values, vectors = np.linalg.eigh(self.precision)
        return (vectors / values) @ vectors.T

    def main_directions(self) -> Array:
        """Return the two directions (2, D) in which the posterior is widest, the widest first."""
        _, vectors = np.linalg.eigh(self.precision)  # eigenvalues ascend: the smallest precisions come first
        axes = vectors[:, :2].T
        # An eigenvector's sign is arbitrary: make its largest component positive, so that the view is reproducible.
        largest = np.abs(axes).argmax(axis=1)
        return axes * np.sign(axes[np.arange(2), largest])[:, None]


def _log_joint(vae: VAE, x: Float[Tensor, "1 C H W"], z: Float[Tensor, " D"]) -> Float[Tensor, ""]:
    return vae.log_joint(x, z[None, None, :])[0, 0]


def find_mode(vae: VAE, x: Float[Tensor, "1 C H W"], starts: Array) -> tuple[Array, float]:
    """Return the best point (D,) that L-BFGS reaches from `starts` (S, D), and log p(x, z) there, nats."""
    from scipy.optimize import minimize  # slow to import, and only needed at d > 2

    def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.as_tensor(z, dtype=x.dtype, device=x.device).requires_grad_(True)
        value = -_log_joint(vae, x, point)
        (gradient,) = torch.autograd.grad(value, point)
        return float(value.detach()), gradient.cpu().double().numpy()

    with torch.enable_grad():
        results = [
            minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
            for start in np.asarray(starts, dtype=np.float64)
        ]
    best = min(results, key=lambda result: float(result.fun))
    return np.asarray(best.x), -float(best.fun)


def precision_at(vae: VAE, x: Float[Tensor, "1 C H W"], z: Array) -> Array:
    """Return minus the Hessian of log p(x, z) at z, (D, D), with eigenvalues raised to at least MIN_PRECISION."""
    with torch.enable_grad():
        point = torch.as_tensor(z, dtype=x.dtype, device=x.device).requires_grad_(True)
        # The gradient of -log p(x, z) with a graph of its own; the gradient of its component i is row i of the Hessian.
        (gradient,) = torch.autograd.grad(-_log_joint(vae, x, point), point, create_graph=True)
        rows = [torch.autograd.grad(component, point, retain_graph=True)[0] for component in gradient]
    hessian = torch.stack(rows).detach().cpu().double().numpy()
    # Symmetric up to rounding: V Diag(max(lambda, MIN_PRECISION)) V'.
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    return (vectors * values.clip(MIN_PRECISION)) @ vectors.T


def local_posterior(vae: VAE, x: Float[Tensor, "1 C H W"], starts: Array) -> LocalPosterior:
    """Return the Laplace approximation at the best mode reached from the starting points `starts` (S, D)."""
    mode, log_joint = find_mode(vae, x, starts)
    return LocalPosterior(mode, log_joint, precision_at(vae, x, mode))
