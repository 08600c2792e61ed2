"""The log posterior density on a drawing grid: which window to show, and the values there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from gpvae_core.inspection.views import Array, GaussianShape, Plane
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.importance import decodes_at_once
from gpvae_core.vae import VAE

SIDE, SLICE_SIDE, COARSE_SIDE = 81, 61, 31
MASSES = (0.5, 0.9, 0.99)
IN_VIEW = 0.999
"""The highest-density region of this mass is always in view."""
ELLIPSE = 2.5
"""So many standard deviations of each Gaussian are in view where it is not far off."""
MARGIN = 0.12
"""On each side, of the longer side of what is in view."""
LEAST_SHARE = 0.5
"""The region in view spans at least this share of the window's longer side."""
BORDER_MASS = 1e-4
"""A slice with more mass than this on the border of its window gets a wider one."""

Box = tuple[float, float, float, float]
"""x0, x1, y0, y1."""


@dataclass(frozen=True)
class Contours:
    """x (Gx,), y (Gy,), log density (Gy, Gx) in nats, and (mass, threshold) pairs."""

    x: Array
    y: Array
    log_density: Array
    levels: tuple[tuple[float, float], ...]


def hpd_levels(log_density: Array, masses: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(mass, threshold): the region above the threshold holds this share of the mass of a uniform grid."""
    # The region of highest density that holds a mass: add cells up from the highest until it is reached.
    ordered = np.sort(log_density.ravel())[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]))
    return tuple((m, float(ordered[np.searchsorted(mass, m * mass[-1])])) for m in masses)


def region_box(x: Array, y: Array, log_density: Array, threshold: float) -> Box:
    """Return the box around the cells above the threshold, one cell wider on each side."""
    inside = log_density >= threshold
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    return (
        float(x[max(columns[0] - 1, 0)]),
        float(x[min(columns[-1] + 1, len(x) - 1)]),
        float(y[max(rows[0] - 1, 0)]),
        float(y[min(rows[-1] + 1, len(y) - 1)]),
    )


def ellipse_box(shape: GaussianShape) -> Box:
    """Return the box around a Gaussian's ellipse of ELLIPSE standard deviations."""
    half = ELLIPSE * np.sqrt(np.diag(shape.covariance))
    low, high = shape.mean - half, shape.mean + half
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def window(region: Box, shapes: Sequence[GaussianShape], least_share: float = LEAST_SHARE) -> Box:
    """Return all of the region with a margin, and of the ellipses as long as the region keeps its share.

    An ellipse that lies farther off is left out; of one that begins near the region and reaches farther, a part is in.
    """
    longest = max(region[1] - region[0], region[3] - region[2]) / least_share / (1 + 2 * MARGIN)
    box = region
    for shape in shapes:
        other = ellipse_box(shape)
        both = _around_both(box, other)
        if max(both[1] - both[0], both[3] - both[2]) <= longest:
            box = both
        elif _overlap(region, other):
            box = _around_both(box, _within_box(other, _centred(region, longest)))
    x0, x1, y0, y1 = box
    pad = MARGIN * max(x1 - x0, y1 - y0)
    return x0 - pad, x1 + pad, y0 - pad, y1 + pad


def _around_both(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


def _within_box(box: Box, limits: Box) -> Box:
    return max(box[0], limits[0]), min(box[1], limits[1]), max(box[2], limits[2]), min(box[3], limits[3])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _centred(box: Box, side: float) -> Box:
    """Return the square of this side with the same centre."""
    cx, cy = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    return cx - side / 2, cx + side / 2, cy - side / 2, cy + side / 2


def axis(low: float, high: float, fine_low: float, fine_high: float, n: int) -> Array:
    """`n` points from low to high, two thirds of them within [fine_low, fine_high] where that part is small.

    A sharp posterior in a window that an ellipse made wide would otherwise fall between the points.
    """
    fine_low, fine_high = max(fine_low, low), min(fine_high, high)
    if fine_high - fine_low >= 0.5 * (high - low):
        return np.linspace(low, high, n)
    inner = 2 * n // 3
    share = (fine_low - low) / ((fine_low - low) + (high - fine_high))
    left = int(np.clip(round((n - inner) * share), fine_low > low, n - inner - (high > fine_high)))
    right = n - inner - left
    parts = (
        np.linspace(low, fine_low, left, endpoint=False),
        np.linspace(fine_low, fine_high, inner),
        np.linspace(high, fine_high, right, endpoint=False)[::-1],
    )
    return np.concatenate(parts)


def _spline(x: Array, y: Array, values: Array, xs: Array, ys: Array) -> Array:
    """Cubic spline through values (Gy, Gx), at the grid xs, ys; (len(ys), len(xs))."""
    pad = 4
    columns = slice(max(np.searchsorted(x, xs[0]) - pad, 0), np.searchsorted(x, xs[-1]) + pad)
    rows = slice(max(np.searchsorted(y, ys[0]) - pad, 0), np.searchsorted(y, ys[-1]) + pad)
    return RectBivariateSpline(y[rows], x[columns], values[rows, columns])(ys, xs)


def _within(values: Array, grid: Array) -> slice:
    """Return the stretch of sorted `values` that lies inside the range of `grid`."""
    return slice(np.searchsorted(values, grid[0]), np.searchsorted(values, grid[-1], side="right"))


@torch.no_grad()
def evaluate(vae: VAE, x: Float[Tensor, "1 C H W"], plane: Plane, xs: Array, ys: Array) -> Array:
    """Return log p(x, z) in nats at the points of the plane with these coordinates, (len(ys), len(xs))."""
    u, w = np.meshgrid(xs, ys)
    z = plane.origin + np.stack([u, w], axis=-1).reshape(-1, 2) @ plane.axes
    points = torch.as_tensor(z, dtype=x.dtype, device=x.device)
    values = [vae.log_joint(x, part[:, None, :])[:, 0] for part in points.split(decodes_at_once(x.device))]
    return torch.cat(values).cpu().double().numpy().reshape(len(ys), len(xs))


def latent_contours(
    vae: VAE,
    atlas: Atlas,
    x: Float[Tensor, "1 C H W"],
    truth: GridPosterior,
    shapes: Sequence[GaussianShape],
    plane: Plane,
    least_share: float = LEAST_SHARE,
) -> Contours:
    """d = 2: a spline through the checked grid where it reaches, through the atlas around it, decoded beyond."""
    fine = np.asarray(truth.log_density)
    levels = truth.hpd_levels((*MASSES, IN_VIEW))
    region = region_box(truth.x, truth.y, fine, levels[-1][1])
    x0, x1, y0, y1 = window(region, shapes, least_share)
    xs, ys = axis(x0, x1, region[0], region[1], SIDE), axis(y0, y1, region[2], region[3], SIDE)
    columns, rows = _within(xs, truth.x), _within(ys, truth.y)
    covered = (columns.stop - columns.start, rows.stop - rows.start) == (SIDE, SIDE)
    values = np.empty((SIDE, SIDE)) if covered else _around(vae, atlas, x, plane, xs, ys) - truth.log_px
    values[rows, columns] = _spline(truth.x, truth.y, fine, xs[columns], ys[rows])
    return Contours(xs, ys, values, tuple(levels[: len(MASSES)]))


def _around(vae: VAE, atlas: Atlas, x: Float[Tensor, "1 C H W"], plane: Plane, xs: Array, ys: Array) -> Array:
    """Return log p(x, z) from the atlas where it reaches; where the window is larger than the atlas, decoded."""
    grid = np.asarray(torch.as_tensor(atlas.axis).cpu(), dtype=np.float64)
    columns, rows = _within(xs, grid), _within(ys, grid)
    if (columns.stop - columns.start, rows.stop - rows.start) != (len(xs), len(ys)):
        return evaluate(vae, x, plane, xs, ys)
    joint = atlas.log_joint(x)[0].cpu().double().numpy()
    return _spline(grid, grid, joint, xs, ys)


def slice_contours(
    vae: VAE,
    x: Float[Tensor, "1 C H W"],
    plane: Plane,
    laplace: Array,
    shapes: Sequence[GaussianShape],
    least_share: float = LEAST_SHARE,
) -> Contours:
    """d > 2: decoded on the slice, zoomed to its mass, normalised over the shown window (trapezoidal rule).

    Args:
        laplace: covariance (2, 2) of the Laplace approximation on the slice, from which the zoom starts.
    """
    region = _slice_region(vae, x, plane, laplace)
    x0, x1, y0, y1 = window(region, shapes, least_share)
    xs = axis(x0, x1, region[0], region[1], SLICE_SIDE)
    ys = axis(y0, y1, region[2], region[3], SLICE_SIDE)
    joint = evaluate(vae, x, plane, xs, ys)
    top = joint.max()
    # The axes may be finer in their middle: the trapezoidal rule takes steps of any length.
    total = np.trapezoid(np.trapezoid(np.exp(joint - top), xs, axis=1), ys)
    density = joint - top - np.log(total)
    # NOTE: `hpd_levels` counts cells of equal size, so the levels are read off an even grid.
    even = (np.linspace(a[0], a[-1], 2 * SLICE_SIDE) for a in (xs, ys))
    return Contours(xs, ys, density, hpd_levels(_spline(xs, ys, density, *even), MASSES))


def _slice_region(vae: VAE, x: Float[Tensor, "1 C H W"], plane: Plane, laplace: Array) -> Box:
    """Return the box of the slice's 99.9 % region, found on a coarse grid that grows or shrinks until it fits."""
    half_x, half_y = 5.0 * np.sqrt(np.diag(laplace))
    box: Box = (-half_x, half_x, -half_y, half_y)
    for _ in range(5):
        xs, ys = np.linspace(box[0], box[1], COARSE_SIDE), np.linspace(box[2], box[3], COARSE_SIDE)
        joint = evaluate(vae, x, plane, xs, ys)
        threshold = hpd_levels(joint, (IN_VIEW,))[0][1]
        found = region_box(xs, ys, joint, threshold)
        if _border_share(joint) > BORDER_MASS:
            box = _scaled(box, 2.0)
        elif min((found[1] - found[0]) / (box[1] - box[0]), (found[3] - found[2]) / (box[3] - box[2])) < 0.25:
            box = _scaled(found, 1.2)
        else:
            return found
    return found


def _border_share(joint: Array) -> float:
    mass = np.exp(joint - joint.max())
    return float(1.0 - mass[1:-1, 1:-1].sum() / mass.sum())


def _scaled(box: Box, factor: float) -> Box:
    cx, cy = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    hx, hy = 0.5 * factor * (box[1] - box[0]), 0.5 * factor * (box[3] - box[2])
    return cx - hx, cx + hx, cy - hy, cy + hy
