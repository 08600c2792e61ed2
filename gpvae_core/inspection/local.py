"""The posterior around its mode in any dimension: gradient ascent on log p(x, z), then the Laplace approximation.

The Hessian is exact (double backward). For a Gaussian likelihood and a piecewise linear decoder it equals
I + J'J / sigma_x^2 with J the decoder's Jacobian at the mode.
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
"""Eigenvalues of the precision are kept above this (a standard deviation of 5 prior units): at a kink of the decoder
the point found need not be a smooth maximum."""


@dataclass(frozen=True)
class LocalPosterior:
    """N(mode, precision^-1), the Laplace approximation."""

    mode: Array
    """(D,)."""
    log_joint: float
    """log p(x, mode) in nats."""
    precision: Array
    """(D, D), minus the Hessian of log p(x, z) at the mode."""

    @property
    def covariance(self) -> Array:
        """(D, D)."""
        values, vectors = np.linalg.eigh(self.precision)
        return (vectors / values) @ vectors.T

    def main_directions(self) -> Array:
        """(2, D): the two directions in which the posterior is widest, the widest first; signs are fixed."""
        _, vectors = np.linalg.eigh(self.precision)
        axes = vectors[:, :2].T
        largest = np.abs(axes).argmax(axis=1)
        return axes * np.sign(axes[np.arange(2), largest])[:, None]


def _log_joint(vae: VAE, x: Float[Tensor, "1 C H W"], z: Float[Tensor, " D"]) -> Float[Tensor, ""]:
    return vae.log_joint(x, z[None, None, :])[0, 0]


def find_mode(vae: VAE, x: Float[Tensor, "1 C H W"], starts: Array) -> tuple[Array, float]:
    """Return the highest point that L-BFGS reaches from `starts` (S, D), and log p(x, z) there."""
    from scipy.optimize import minimize  # only runs with more than two latent dimensions come here

    def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.as_tensor(z, dtype=x.dtype, device=x.device).requires_grad_(True)
        value = -_log_joint(vae, x, point)
        (slope,) = torch.autograd.grad(value, point)
        return float(value.detach()), slope.cpu().double().numpy()

    with torch.enable_grad():
        found = [
            minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
            for start in np.asarray(starts, dtype=np.float64)
        ]
    best = min(found, key=lambda result: float(result.fun))
    return np.asarray(best.x), -float(best.fun)


def precision_at(vae: VAE, x: Float[Tensor, "1 C H W"], z: Array) -> Array:
    """Minus the Hessian of log p(x, z) at z, symmetric, with eigenvalues of at least MIN_PRECISION; (D, D)."""
    with torch.enable_grad():
        point = torch.as_tensor(z, dtype=x.dtype, device=x.device).requires_grad_(True)
        (slope,) = torch.autograd.grad(-_log_joint(vae, x, point), point, create_graph=True)
        rows = [torch.autograd.grad(s, point, retain_graph=True)[0] for s in slope]
    hessian = torch.stack(rows).detach().cpu().double().numpy()
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    return (vectors * values.clip(MIN_PRECISION)) @ vectors.T


def local_posterior(vae: VAE, x: Float[Tensor, "1 C H W"], starts: Array) -> LocalPosterior:
    """Mode and Laplace precision, from the starting points `starts` (S, D)."""
    mode, log_joint = find_mode(vae, x, starts)
    return LocalPosterior(mode, log_joint, precision_at(vae, x, mode))
