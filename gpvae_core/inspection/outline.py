"""The outline of any answer q(z|x) on a plane: the boundary of the smallest region that holds most of its mass there.

One way for every family: the density is evaluated on a grid that is moved, turned and scaled until it fits the mass.
On a slice (d > 2) it is the density restricted to the slice, as the posterior's is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gpvae_core.densities.base import Posterior
from gpvae_core.inspection.contours import hpd_levels, region_box
from gpvae_core.inspection.level_lines import level_lines
from gpvae_core.inspection.views import Array, Plane

MASS = 0.9
IN_VIEW = 0.999
"""The region of this mass lies inside the grid."""
REACH = 5.0
"""Half the side of a grid, in standard deviations of the mass."""
ROUND = (0.3, 3.0)
"""Variances of the mass along the grid's axes, in the grid's units, with which the grid fits."""
ROUNDS = 6
LogDensity = Callable[[Array], Array]
"""Points of the plane (P, 2) -> log density (P,) in nats."""


def outline(q: Posterior, plane: Plane, side: int = 81) -> Array:
    """(P, 2): the boundary for the one image that q is about, NaN between its pieces.

    Args:
        side: points of the grid along each side.
    """
    like = q.mean

    @torch.no_grad()
    def log_density(points: Array) -> Array:
        z = torch.as_tensor(plane.origin + points @ plane.axes, dtype=like.dtype, device=like.device)
        return q.log_prob(z[:, None, :])[:, 0].cpu().double().numpy()

    mean, variance = like[0].cpu().double().numpy(), q.variance[0].cpu().double().numpy()
    centre = plane.coordinates(mean)
    return boundary(log_density, centre, np.sqrt((plane.axes**2) @ variance), side)


def boundary(log_density: LogDensity, centre: Array, spread: Array, side: int) -> Array:
    """(P, 2): where the region that holds MASS ends, NaN between its pieces.

    Args:
        centre, spread: mean and standard deviations (2,) with which the search begins.
    """
    axes, reach = np.diag(spread), REACH
    for _ in range(ROUNDS):
        u = np.linspace(-reach, reach, side)
        grid = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
        values = log_density(centre + grid @ axes)
        square = values.reshape(side, side)
        if _touches(u, square):
            reach *= 2.0
            continue
        p = np.exp(values - values.max())
        p /= p.sum()
        # Moments of the mass in the grid's units: the grid fits where they are about 0 and I.
        mean = p @ grid
        variances, vectors = np.linalg.eigh((grid - mean).T @ (p[:, None] * (grid - mean)))
        if ROUND[0] < variances[0] and variances[1] < ROUND[1]:
            break
        centre = centre + mean @ axes
        # The new axes are the principal ones of the mass, each one standard deviation long.
        axes = (vectors * np.sqrt(variances.clip(1e-6))).T @ axes
        reach = REACH
    return centre + level_lines(u, u, square, hpd_levels(square, (MASS,))[0][1]) @ axes


def _touches(u: Array, square: Array) -> bool:
    """Return True where mass reaches the border of the grid."""
    x0, x1, y0, y1 = region_box(u, u, square, hpd_levels(square, (IN_VIEW,))[0][1])
    return min(x0, y0) <= u[0] or max(x1, y1) >= u[-1]
