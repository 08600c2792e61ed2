"""The log posterior density on a grid for drawing: choice of the window, and the values in it."""

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
"""Grid points per side: at d = 2, on a slice, and on the coarse grid that finds the mass of a slice."""
MASSES = (0.5, 0.9, 0.99)
"""Masses of the highest-density regions whose boundaries are drawn."""
IN_VIEW = 0.999
"""Mass of the highest-density region that the window always contains."""
ELLIPSE = 2.5
"""Number of standard deviations of each Gaussian that the window contains, unless the Gaussian is too far away."""
MARGIN = 0.12
"""Margin on each side, as a share of the longer side of the content."""
LEAST_SHARE = 0.5
"""Smallest share of the window's longer side that the posterior's region spans."""
BORDER_MASS = 1e-4
"""Mass on the border of a slice's window above which the window is enlarged."""

Box = tuple[float, float, float, float]
"""A rectangle (x0, x1, y0, y1)."""


@dataclass(frozen=True)
class Contours:
    """A log density (Gy, Gx), nats, on the grid x (Gx,), y (Gy,), and (mass, threshold) pairs of its regions."""

    x: Array
    y: Array
    log_density: Array
    levels: tuple[tuple[float, float], ...]


def hpd_levels(log_density: Array, masses: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return (mass, threshold) pairs: on a uniform grid, the cells above the threshold hold this share of the mass."""
    # Highest-density region: sum up the cells in descending order of density until the mass is reached.
    ordered = np.sort(log_density.ravel())[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]))
    return tuple((m, float(ordered[np.searchsorted(mass, m * mass[-1])])) for m in masses)


def region_box(x: Array, y: Array, log_density: Array, threshold: float) -> Box:
    """Return the bounding box of the cells above the threshold, extended by one cell on each side."""
    inside = log_density >= threshold
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    return (
        float(x[max(columns[0] - 1, 0)]),
        float(x[min(columns[-1] + 1, len(x) - 1)]),
        float(y[max(rows[0] - 1, 0)]),
        float(y[min(rows[-1] + 1, len(y) - 1)]),
    )


def ellipse_box(shape: GaussianShape) -> Box:
    """Return the bounding box of a Gaussian's ellipse of ELLIPSE standard deviations."""
    half = ELLIPSE * np.sqrt(np.diag(shape.covariance))
    low, high = shape.mean - half, shape.mean + half
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def window(region: Box, shapes: Sequence[GaussianShape], least_share: float = LEAST_SHARE) -> Box:
    """Return a window with margins around the region, and around the ellipses as far as the region keeps its share.

    An ellipse that is too far away is left out; an ellipse that overlaps the region but reaches too far is clipped.
    """
    # The longest side of the box at which the region, inside the margins on both sides, still has `least_share` of it.
    longest = max(region[1] - region[0], region[3] - region[2]) / least_share / (1 + 2 * MARGIN)
    box = region
    for shape in shapes:
        other = ellipse_box(shape)
        union = _union(box, other)
        if max(union[1] - union[0], union[3] - union[2]) <= longest:
            box = union
        elif _overlap(region, other):
            # Only the part of the ellipse within a square of the longest side around the region's centre.
            box = _union(box, _intersection(other, _centred(region, longest)))
    x0, x1, y0, y1 = box
    pad = MARGIN * max(x1 - x0, y1 - y0)
    return x0 - pad, x1 + pad, y0 - pad, y1 + pad


def _union(a: Box, b: Box) -> Box:
    """Return the smallest box that contains both."""
    return min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])


def _intersection(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _centred(box: Box, side: float) -> Box:
    """Return the square of this side around the centre of the box."""
    cx, cy = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    return cx - side / 2, cx + side / 2, cy - side / 2, cy + side / 2


def axis(low: float, high: float, fine_low: float, fine_high: float, n: int) -> Array:
    """Return `n` points from low to high, two thirds of them within [fine_low, fine_high] if that interval is short.

    Otherwise a narrow posterior could fall between the points of a window that an ellipse has made wide.
    """
    fine_low, fine_high = max(fine_low, low), min(fine_high, high)
    if fine_high - fine_low >= 0.5 * (high - low):
        return np.linspace(low, high, n)
    inner = 2 * n // 3
    # The other points are divided in proportion to the two outer intervals, with at least one in each that exists.
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
    """Return a cubic spline through values (Gy, Gx) on the grid xs, ys, of shape (len(ys), len(xs))."""
    pad = 4  # fit to the part of the grid around xs, ys, with enough points that its border does not matter
    columns = slice(max(np.searchsorted(x, xs[0]) - pad, 0), np.searchsorted(x, xs[-1]) + pad)
    rows = slice(max(np.searchsorted(y, ys[0]) - pad, 0), np.searchsorted(y, ys[-1]) + pad)
    return RectBivariateSpline(y[rows], x[columns], values[rows, columns])(ys, xs)


def _within(values: Array, grid: Array) -> slice:
    """Return the slice of the sorted `values` that lies within the range of `grid`."""
    return slice(np.searchsorted(values, grid[0]), np.searchsorted(values, grid[-1], side="right"))


@torch.no_grad()
def evaluate(vae: VAE, x: Float[Tensor, "1 C H W"], plane: Plane, xs: Array, ys: Array) -> Array:
    """Return log p(x, z) in nats on the grid xs, ys of the plane, of shape (len(ys), len(xs))."""
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
    """Return the contours at d = 2.

    Inside the fine grid of the quadrature, values come from a spline through it; around it, from a spline through the
    coarse grid of the atlas; beyond that, from the decoder.
    """
    fine = np.asarray(truth.log_density)
    levels = truth.hpd_levels((*MASSES, IN_VIEW))
    region = region_box(truth.x, truth.y, fine, levels[-1][1])
    x0, x1, y0, y1 = window(region, shapes, least_share)
    xs, ys = axis(x0, x1, region[0], region[1], SIDE), axis(y0, y1, region[2], region[3], SIDE)
    # Slices of the window's axes within the fine grid; the window may lie wholly within it.
    columns, rows = _within(xs, truth.x), _within(ys, truth.y)
    covered = (columns.stop - columns.start, rows.stop - rows.start) == (SIDE, SIDE)
    # log p(z|x) = log p(x, z) - log p(x) around the fine grid, whose own values replace it inside.
    values = np.empty((SIDE, SIDE)) if covered else _around(vae, atlas, x, plane, xs, ys) - truth.log_px
    values[rows, columns] = _spline(truth.x, truth.y, fine, xs[columns], ys[rows])
    return Contours(xs, ys, values, tuple(levels[: len(MASSES)]))


def _around(vae: VAE, atlas: Atlas, x: Float[Tensor, "1 C H W"], plane: Plane, xs: Array, ys: Array) -> Array:
    """Return log p(x, z) from a spline through the atlas, or from the decoder if the window exceeds the atlas."""
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
    laplace: GaussianShape,
    shapes: Sequence[GaussianShape],
    least_share: float = LEAST_SHARE,
) -> Contours:
    """Return the contours on a slice at d > 2, in a window around its mass, normalised over the window.

    Args:
        laplace: the Laplace approximation on the slice, the first guess of the window.
    """
    region = _slice_region(vae, x, plane, laplace)
    x0, x1, y0, y1 = window(region, shapes, least_share)
    xs = axis(x0, x1, region[0], region[1], SLICE_SIDE)
    ys = axis(y0, y1, region[2], region[3], SLICE_SIDE)
    joint = evaluate(vae, x, plane, xs, ys)
    top = joint.max()
    # The axes may be finer in the middle; the trapezoidal rule allows steps of different lengths.
    total = np.trapezoid(np.trapezoid(np.exp(joint - top), xs, axis=1), ys)
    density = joint - top - np.log(total)
    # NOTE: `hpd_levels` assumes cells of equal size, so that the levels are computed on a uniform grid.
    uniform = (np.linspace(a[0], a[-1], 2 * SLICE_SIDE) for a in (xs, ys))
    return Contours(xs, ys, density, hpd_levels(_spline(xs, ys, density, *uniform), MASSES))


def _slice_region(vae: VAE, x: Float[Tensor, "1 C H W"], plane: Plane, laplace: GaussianShape) -> Box:
    """Return the box of the slice's 99.9 % region, from a coarse grid that is enlarged or shrunk until it fits."""
    (x0, y0), (x1, y1) = (laplace.mean + side * np.sqrt(np.diag(laplace.covariance)) for side in (-5.0, 5.0))
    box: Box = (float(x0), float(x1), float(y0), float(y1))
    for _ in range(5):
        xs, ys = np.linspace(box[0], box[1], COARSE_SIDE), np.linspace(box[2], box[3], COARSE_SIDE)
        joint = evaluate(vae, x, plane, xs, ys)
        threshold = hpd_levels(joint, (IN_VIEW,))[0][1]
        region = region_box(xs, ys, joint, threshold)
        if _border_share(joint) > BORDER_MASS:
            box = _scaled(box, 2.0)
        elif min((region[1] - region[0]) / (box[1] - box[0]), (region[3] - region[2]) / (box[3] - box[2])) < 0.25:
            box = _scaled(region, 1.2)
        else:
            return region
    return region


def _border_share(joint: Array) -> float:
    """Return the share of the mass in the outermost cells of the grid."""
    mass = np.exp(joint - joint.max())
    return float(1.0 - mass[1:-1, 1:-1].sum() / mass.sum())


def _scaled(box: Box, factor: float) -> Box:
    """Return the box with its sides multiplied by `factor`, around the same centre."""
    cx, cy = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    hx, hy = 0.5 * factor * (box[1] - box[0]), 0.5 * factor * (box[3] - box[2])
    return cx - hx, cx + hx, cy - hy, cy + hy
