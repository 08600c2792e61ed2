"""The posterior along the latent line at d = 1, on the latents at which it and its approximations are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from gpvae_core.densities.base import Posterior
from gpvae_core.inspection.contours import ELLIPSE, IN_VIEW, MARGIN, MASSES
from gpvae_core.inspection.line_views import Array, LineDensity, LineView
from gpvae_core.truth.line_posterior import LinePosterior

EVEN, AROUND, REACH = 201, 81, 4.0
"""Number of evenly spaced latents, number around the mean of each approximation, and their reach in its sd."""
MOST_NODES = 3000
"""Largest number of the quadrature's nodes that are drawn."""
Moments = tuple[float, float]
"""Mean and standard deviation."""


def line_levels(truth: LinePosterior, masses: Sequence[float] = MASSES) -> tuple[tuple[float, float], ...]:
    """Return (mass, threshold) pairs: the nodes whose log density is at least the threshold hold this mass."""
    # Highest-density region: sum up the nodes' masses in descending order of density.
    order = np.argsort(-truth.log_density, kind="stable")
    mass = np.cumsum(np.exp(truth.log_density[order]) * truth.weight[order])
    at = [min(int(np.searchsorted(mass, m * mass[-1])), len(order) - 1) for m in masses]
    return tuple((m, float(truth.log_density[order[k]])) for m, k in zip(masses, at, strict=True))


def thinned(truth: LinePosterior) -> tuple[Array, Array]:
    """Return at most MOST_NODES of the nodes, evenly chosen, and log p(z|x) at them."""
    step = -(-len(truth.z) // MOST_NODES)
    return truth.z[::step], truth.log_density[::step]


def latents(truth: LinePosterior, approximations: Sequence[Moments]) -> Array:
    """Return the latents (G,) to draw at: those that hold the posterior's mass and the approximations'."""
    ((_, threshold),) = line_levels(truth, (IN_VIEW,))
    inside = truth.z[truth.log_density >= threshold]
    ends = [*(mean + sign * ELLIPSE * sd for mean, sd in approximations for sign in (-1.0, 1.0)), inside[0], inside[-1]]
    pad = MARGIN * (max(ends) - min(ends))
    low, high = min(ends) - pad, max(ends) + pad
    around = [mean + sd * np.linspace(-REACH, REACH, AROUND) for mean, sd in approximations]
    every = np.unique(np.concatenate([thinned(truth)[0], np.linspace(low, high, EVEN), *around]))
    return every[(every >= low) & (every <= high)]


@torch.no_grad()
def encoder_density(name: str, q: Posterior, z: Array) -> LineDensity:
    """Return the density of q, the posterior of a single image, at the latents z (G,)."""
    at = torch.as_tensor(z, dtype=q.mean.dtype, device=q.mean.device)[:, None, None]
    mean, variance = float(q.mean[0, 0]), float(q.variance[0, 0])
    return LineDensity(name, mean, variance, q.log_prob(at)[:, 0].cpu().double().numpy())


def gaussian_density(name: str, mean: float, sd: float, z: Array) -> LineDensity:
    """Return the density of N(mean, sd^2) at the latents z (G,)."""
    log_density = -0.5 * ((z - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi)
    return LineDensity(name, mean, sd**2, log_density)


def line_view(
    truth: LinePosterior, q: Posterior, name: str, best: Moments | None, base: Array, mapa: tuple[Array, Array]
) -> LineView:
    """Return the view of p(z|x) with q(z|x), the encoder called `name`, and the best Gaussian, None if not known yet.

    Args:
        base: samples (S,) of `Posterior.base()`.
        mapa: the most probable codes (M,), and their probabilities.
    """
    own = float(q.mean[0, 0]), float(q.variance[0, 0]) ** 0.5
    z = latents(truth, [own, *([] if best is None else [best])])
    known = [] if best is None else [gaussian_density("best Gaussian", *best, z)]
    return LineView(
        z=z,
        log_density=PchipInterpolator(truth.z, truth.log_density, extrapolate=False)(z),
        hpd_levels=line_levels(truth),
        base_samples=base,
        gaussians=(encoder_density(name, q, z), *known),
        mapa_points=mapa[0],
        mapa_weights=mapa[1],
        modes=np.asarray(truth.modes())[:, 0],
        base_name=q.base_name,
    )
