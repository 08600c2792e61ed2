"""The outline of a density q(z|x) on a plane: the boundary of its highest-density region that holds most of the mass.

It works for any family: the density is evaluated on a grid that is moved, rotated and scaled until it fits the mass. On
a slice (d > 2) the density is restricted to the slice, as that of the posterior is.
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
"""Mass inside the outline."""
IN_VIEW = 0.999
"""Mass of the region that the grid must contain."""
REACH = 5.0
"""Half the side of the grid, in standard deviations of the mass."""
ACCEPTED_VARIANCES = (0.3, 3.0)
"""Range of the mass's variances along the grid's axes, in the grid's units, in which the grid is accepted."""
ITERATIONS = 6
LogDensity = Callable[[Array], Array]
"""Function from points of the plane (P, 2) to the log density (P,) in nats."""


def outline(q: Posterior, plane: Plane, side: int = 81) -> Array:
    """Return the outline (P, 2) of q, the posterior of a single image, with NaN between separate pieces.

    Args:
        side: number of grid points along each side.
    """

    @torch.no_grad()
    def log_density(points: Array) -> Array:
        z = torch.as_tensor(plane.origin + points @ plane.axes, dtype=q.mean.dtype, device=q.mean.device)
        return q.log_prob(z[:, None, :])[:, 0].cpu().double().numpy()

    mean, variance = q.mean[0].cpu().double().numpy(), q.variance[0].cpu().double().numpy()
    centre = plane.coordinates(mean)
    return boundary(log_density, centre, np.sqrt((plane.axes**2) @ variance), side)


def boundary(log_density: LogDensity, centre: Array, spread: Array, side: int) -> Array:
    """Return the boundary (P, 2) of the highest-density region of mass MASS, with NaN between separate pieces.

    Args:
        centre, spread: mean and standard deviations (2,) of the first grid.
    """
    # The rows of `axes` are the grid's unit vectors: a grid point u in [-reach, reach]^2 lies at centre + u @ axes.
    axes, reach = np.diag(spread), REACH
    for _ in range(ITERATIONS):
        u = np.linspace(-reach, reach, side)
        grid = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
        values = log_density(centre + grid @ axes)
        square = values.reshape(side, side)
        if _reaches_border(u, square):
            reach *= 2.0
            continue
        p = np.exp(values - values.max())
        p /= p.sum()
        # Moments of the mass in the grid's units: the grid fits if they are about 0 and I.
        mean = p @ grid
        variances, vectors = np.linalg.eigh((grid - mean).T @ (p[:, None] * (grid - mean)))
        if ACCEPTED_VARIANCES[0] < variances[0] and variances[1] < ACCEPTED_VARIANCES[1]:
            break
        centre = centre + mean @ axes
        # The new axes are the principal axes of the mass, each with the length of one standard deviation.
        axes = (vectors * np.sqrt(variances.clip(1e-6))).T @ axes
        reach = REACH
    return centre + level_lines(u, u, square, hpd_levels(square, (MASS,))[0][1]) @ axes


def _reaches_border(u: Array, square: Array) -> bool:
    """Return whether the region of mass IN_VIEW reaches the border of the grid."""
    x0, x1, y0, y1 = region_box(u, u, square, hpd_levels(square, (IN_VIEW,))[0][1])
    return min(x0, y0) <= u[0] or max(x1, y1) >= u[-1]
