"""The outline of any answer q(z|x) on a plane: the boundary of the smallest region that holds most of its mass there.

One way for every family: the density is evaluated on a grid that is moved and zoomed until it fits. On a slice (d > 2)
it is the density restricted to the slice, as the posterior's is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gpvae_core.encoders.base import Posterior
from gpvae_core.explore.contours import Box, hpd_levels, region_box
from gpvae_core.explore.gap_lab.views import Array, Outline
from gpvae_core.explore.views import Plane
from gpvae_core.plots.level_lines import level_lines

MASS = 0.9
IN_VIEW = 0.999
START = 5.0
"""Half the side of the first grid, in standard deviations of q."""
FILLED = 0.4
"""The region spans at least this share of the last grid's sides."""
ROUNDS = 6
LogDensity = Callable[[Array], Array]
"""Points of the plane (P, 2) -> log density (P,) in nats."""


def outline(name: str, q: Posterior, plane: Plane, side: int = 81) -> Outline:
    """Of the answer for the one image that q is about.

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
    half = START * np.sqrt((plane.axes**2) @ variance)
    box = (centre[0] - half[0], centre[0] + half[0], centre[1] - half[1], centre[1] + half[1])
    return Outline(name, boundary(log_density, box, side), centre)


def boundary(log_density: LogDensity, box: Box, side: int) -> Array:
    """(P, 2): where the region that holds MASS ends; the box is a first guess at where the mass is."""
    for _ in range(ROUNDS):
        xs, ys = np.linspace(box[0], box[1], side), np.linspace(box[2], box[3], side)
        values = log_density(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)).reshape(side, side)
        found = region_box(xs, ys, values, hpd_levels(values, (IN_VIEW,))[0][1])
        if _touches(found, box):
            box = _wider(box)
        elif _small(found, box):
            box = _wider(found, 1.2)
        else:
            break
    return level_lines(xs, ys, values, hpd_levels(values, (MASS,))[0][1])


def _touches(found: Box, box: Box) -> bool:
    return found[0] <= box[0] or found[1] >= box[1] or found[2] <= box[2] or found[3] >= box[3]


def _small(found: Box, box: Box) -> bool:
    return min((found[1] - found[0]) / (box[1] - box[0]), (found[3] - found[2]) / (box[3] - box[2])) < FILLED


def _wider(box: Box, factor: float = 2.0) -> Box:
    cx, cy = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    hx, hy = 0.5 * factor * (box[1] - box[0]), 0.5 * factor * (box[3] - box[2])
    return cx - hx, cx + hx, cy - hy, cy + hy
