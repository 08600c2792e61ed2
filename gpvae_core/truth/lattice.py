"""log p(x, z) of one image on a square lattice of the latent plane, evaluated only where there is mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
LogJoint = Callable[[Array], Array]
"""z (K, 2) -> log p(x, z) (K,) in nats."""

LIVE = 16.0
"""Nodes within this many nats of the maximum are live: they carry the mass. A Gaussian has exp(-16) of it elsewhere."""
FLOOR = 30.0
"""Values of a cropped lattice are clipped to this many nats below the maximum."""
TARGET_STEP = 0.75
"""Step of a refined lattice, in standard deviations of the posterior along its narrowest direction (by curvature)."""
MAX_FACTOR, MAX_SIDE, MAX_NODES = 4, 1601, 300_000
"""Largest factor of one refinement, most nodes along a side, and most evaluations of one `fill`."""
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Lattice:
    """log p(x, z) of one image at the nodes z = low + step (column + j, row + i), i and j counted from 0.

    Values at nodes that are not `evaluated` are interpolated from a coarser lattice and lie below those of live nodes.
    """

    low: float
    """Coordinate of column 0 and of row 0, in prior units."""
    step: float
    """Distance between neighbouring nodes, in prior units."""
    column: int
    """Column of the first nodes; negative where the lattice was extended below `low`."""
    row: int
    """Row of the first nodes."""
    values: Array
    """(Gy, Gx) log p(x, z) in nats; rows are the second latent coordinate."""
    evaluated: Mask
    """(Gy, Gx) whether the value was computed at the node itself."""

    @property
    def x(self) -> Array:
        """(Gx,) first latent coordinate of the columns."""
        return self.low + self.step * (self.column + np.arange(self.values.shape[1]))

    @property
    def y(self) -> Array:
        """(Gy,) second latent coordinate of the rows."""
        return self.low + self.step * (self.row + np.arange(self.values.shape[0]))

    @property
    def live(self) -> Mask:
        """(Gy, Gx) whether a node is evaluated and lies within LIVE nats of the maximum."""
        return np.logical_and(self.evaluated, self.values > self.values[self.evaluated].max() - LIVE)

    def log_mass(self) -> float:
        """Return the log of the integral of exp(values) in nats, by the rectangle rule."""
        return log_sum_exp(self.values) + 2.0 * np.log(self.step)

    def halving_error(self) -> float:
        """Return the largest change of the log mass in nats when every second row and column is left out.

        There are four ways to leave them out; each sub-lattice has cells of 4 times the area, hence log 4.
        """
        halves = [log_sum_exp(self.values[i::2, j::2]) for i in (0, 1) for j in (0, 1)]
        return float(np.abs(np.array(halves) + np.log(4.0) - log_sum_exp(self.values)).max())

    def border_mass(self) -> float:
        """Return the share of the mass on the outermost nodes."""
        p = np.exp(self.values - self.values.max())
        return float(1.0 - p[1:-1, 1:-1].sum() / p.sum())

    def cells_spanned(self) -> int:
        """Return the number of cells along the shorter side of the live nodes' bounding box."""
        return min(int(np.ptp(np.flatnonzero(self.live.any(axis)))) for axis in (0, 1))

    def step_across(self) -> float:
        """Return the step in standard deviations along the narrowest direction, by the mean curvature over the mass.

        A slanting ridge thinner than a cell passes the halving check: what it misses in one row it hits in the next.
        """
        xx, yy, xy = _second_differences(self.values)
        # The larger eigenvalue of [[xx, xy], [xy, yy]]; for a Gaussian it is (step / sigma)^2 of the narrowest axis.
        narrowest = 0.5 * (xx + yy) + np.sqrt(0.25 * (xx - yy) ** 2 + xy**2)
        p = np.exp(self.values - self.values.max())
        return float(np.sqrt((p * narrowest).sum() / p.sum()))

    def upper_bound(self) -> Array:
        """Return (Gy, Gx), the height in nats that the values may reach within the cell of each node.

        Within half a step of a node a quadratic rises above it by up to (|d_xx| + |d_yy| + 2 |d_xy|) / 8. The bound
        allows 1.5 times that, so that a sharp peak between the nodes is not missed.
        """
        xx, yy, xy = _second_differences(self.values)
        return self.values + 1.5 * (xx + yy + 2.0 * xy) / 8.0

    def padded(self, margin: int) -> Lattice:
        """Return the lattice with `margin` more nodes on each side, which count as empty until they are evaluated."""
        empty = min(self.values.min(), self.values.max() - 2.0 * LIVE)
        wide = np.pad(self.values, margin, mode="constant", constant_values=empty)
        evaluated = np.pad(self.evaluated, margin, mode="constant", constant_values=False)
        return Lattice(self.low, self.step, self.column - margin, self.row - margin, wide, evaluated)

    def cropped(self) -> Lattice:
        """Return the live nodes' bounding box with a margin of two nodes, its values clipped FLOOR nats below the top.

        Values at unknown nodes are clipped too: cliffs of thousands of nats would make splines overshoot.
        """
        rows, columns = (_span(np.any(self.live, axis=axis), 2) for axis in (1, 0))
        values, evaluated = self.values[rows, columns], self.evaluated[rows, columns]
        values = np.where(evaluated, values, -np.inf).clip(min=self.values.max() - FLOOR)
        return Lattice(self.low, self.step, self.column + columns.start, self.row + rows.start, values, evaluated)


def log_sum_exp(values: Array) -> float:
    """Return log sum exp over all entries, -inf for an empty array."""
    if values.size == 0:
        return -np.inf
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


def _span(used: Mask, margin: int) -> slice:
    """Return the slice from the first to the last True entry, with a margin on both sides."""
    index = np.flatnonzero(used)
    return slice(max(int(index[0]) - margin, 0), int(index[-1]) + 1 + margin)


def fill(lattice: Lattice, log_joint: LogJoint, requested: Mask | None = None) -> Lattice:
    """Evaluate the requested nodes, then the neighbours of live nodes, until evaluated nodes surround all live ones.

    The lattice grows where live nodes reach its border. Evaluation stops at MAX_NODES nodes, growth at MAX_SIDE nodes
    along a side; mass that is then left out shows in `border_mass` or in `halving_error`. The arrays of `lattice` are
    written in place.
    """
    evaluated = 0
    pending = np.zeros_like(lattice.evaluated) if requested is None else requested & ~lattice.evaluated
    while True:
        rows, columns = np.nonzero(pending)
        if len(rows):
            z = np.stack([lattice.x[columns], lattice.y[rows]], axis=-1)
            lattice.values[rows, columns] = log_joint(z)
            lattice.evaluated[rows, columns] = True
            evaluated += len(rows)
        live = lattice.live
        at_border = live[[0, -1]].any() or live[:, [0, -1]].any()
        if at_border and max(live.shape) < MAX_SIDE:
            lattice = lattice.padded(max(8, max(live.shape) // 8))
            live = lattice.live
        pending = np.logical_and(binary_dilation(live, EIGHT_NEIGHBOURS, iterations=2), ~lattice.evaluated)
        if not pending.any() or evaluated > MAX_NODES:
            return lattice


def refined(lattice: Lattice, log_joint: LogJoint) -> Lattice | None:
    """Return the part that carries the mass on a lattice with a smaller step; None where that would be too large."""
    region = lattice.upper_bound() > lattice.values[lattice.evaluated].max() - LIVE
    rows, columns = (_span(np.any(region, axis=axis), 1) for axis in (1, 0))
    side = max(region[rows, columns].shape)
    factor = min(_refinement_factor(lattice), MAX_SIDE // side)
    if factor < 2:
        return None
    inside, coarse = region[rows, columns], lattice.values[rows, columns]
    # `factor` fine cells in each coarse one; the outermost nodes of both lattices coincide.
    fine_rows, fine_columns = (factor * (n - 1) + 1 for n in coarse.shape)
    i, j = np.arange(fine_rows) / factor, np.arange(fine_columns) / factor
    values = map_coordinates(coarse, np.meshgrid(i, j, indexing="ij"), order=1, mode="nearest")
    requested = inside[np.ix_(np.rint(i).astype(int), np.rint(j).astype(int))]
    column, row = factor * (lattice.column + columns.start), factor * (lattice.row + rows.start)
    evaluated = np.zeros_like(requested)
    return fill(Lattice(lattice.low, lattice.step / factor, column, row, values, evaluated), log_joint, requested)


def _second_differences(values: Array) -> tuple[Array, Array, Array]:
    """Return |d2/dx2|, |d2/dy2|, |d2/dxdy| of the values, each times the step squared, by central differences."""
    v = np.pad(values, 1, mode="edge")
    centre = v[1:-1, 1:-1]
    xx = v[1:-1, 2:] - 2.0 * centre + v[1:-1, :-2]
    yy = v[2:, 1:-1] - 2.0 * centre + v[:-2, 1:-1]
    xy = 0.25 * (v[2:, 2:] - v[2:, :-2] - v[:-2, 2:] + v[:-2, :-2])
    return np.abs(xx), np.abs(yy), np.abs(xy)


def _refinement_factor(lattice: Lattice) -> int:
    """Return the factor by which to divide the step to reach TARGET_STEP, by the curvature near the maximum."""
    xx, yy, _ = _second_differences(lattice.values)
    top = lattice.values > lattice.values.max() - 3.0
    # The curvature of a Gaussian is 1 / sigma^2, so that this is step / sigma.
    steps = np.sqrt(max(xx[top].max(), yy[top].max()))
    return int(np.clip(np.ceil(steps / TARGET_STEP), 2, MAX_FACTOR))
