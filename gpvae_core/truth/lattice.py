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
"""Nodes within so many nats of the highest carry the mass; for a Gaussian exp(-16) of it lies outside."""
FLOOR = 30.0
"""The least value of a cropped lattice is so many nats below the highest."""
STEP_WANTED = 0.75
"""A refined step, in standard deviations of the posterior along its narrowest direction (by its curvature)."""
MAX_FACTOR, MAX_SIDE, MAX_NODES = 4, 1601, 300_000
EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Lattice:
    """Nodes z = low + step (column, row), columns from `column` on and rows from `row` on.

    Values at nodes that are not `known` are interpolated from a coarser lattice; they lie below the live ones.
    """

    low: float
    step: float
    column: int
    row: int
    values: Array
    """(Gy, Gx) log p(x, z) in nats; rows are the second latent coordinate."""
    known: Mask
    """(Gy, Gx) True where the value was computed at the node itself."""

    @property
    def x(self) -> Array:
        return self.low + self.step * (self.column + np.arange(self.values.shape[1]))

    @property
    def y(self) -> Array:
        return self.low + self.step * (self.row + np.arange(self.values.shape[0]))

    @property
    def live(self) -> Mask:
        return np.logical_and(self.known, self.values > self.values[self.known].max() - LIVE)

    def log_mass(self) -> float:
        """log of the integral of exp(values), in nats (rectangle rule)."""
        return log_sum_exp(self.values) + 2.0 * np.log(self.step)

    def halving_error(self) -> float:
        """Largest |log mass - log mass at twice the step| over the four sub-lattices of twice the step, in nats."""
        halves = [log_sum_exp(self.values[i::2, j::2]) for i in (0, 1) for j in (0, 1)]
        return float(np.abs(np.array(halves) + np.log(4.0) - log_sum_exp(self.values)).max())

    def border_mass(self) -> float:
        """Share of the mass on the outermost nodes."""
        p = np.exp(self.values - self.values.max())
        return float(1.0 - p[1:-1, 1:-1].sum() / p.sum())

    def cells_spanned(self) -> int:
        """Cells across the live nodes along the shorter side of their box."""
        return min(int(np.ptp(np.flatnonzero(self.live.any(axis)))) for axis in (0, 1))

    def step_across(self) -> float:
        """Step in standard deviations along the narrowest direction, by the curvature averaged over the mass.

        A slanting ridge thinner than a cell passes the halving check: what it misses in one row it hits in the next.
        """
        xx, yy, xy = _second_differences(self.values)
        narrowest = 0.5 * (xx + yy) + np.sqrt(0.25 * (xx - yy) ** 2 + xy**2)
        p = np.exp(self.values - self.values.max())
        return float(np.sqrt((p * narrowest).sum() / p.sum()))

    def reach(self) -> Array:
        """(Gy, Gx) as high as the value may rise in the cell of each node, in nats.

        Within half a step of a node a quadratic rises above it by up to (|d_xx| + |d_yy| + 2 |d_xy|) / 8; 1.5 times
        that is allowed for, so that a peak between the nodes is not passed over however sharp it is.
        """
        xx, yy, xy = _second_differences(self.values)
        return self.values + 1.5 * (xx + yy + 2.0 * xy) / 8.0

    def padded(self, margin: int) -> Lattice:
        """With so many unknown nodes more on each side, which count as empty until they are evaluated."""
        empty = min(self.values.min(), self.values.max() - 2.0 * LIVE)
        wide = np.pad(self.values, margin, mode="constant", constant_values=empty)
        known = np.pad(self.known, margin, mode="constant", constant_values=False)
        return Lattice(self.low, self.step, self.column - margin, self.row - margin, wide, known)

    def cropped(self) -> Lattice:
        """The box of the live nodes and two nodes around it, as far as there are any; no value lies below FLOOR.

        Nodes that are not known may stand on cliffs of thousands of nats, at which splines overshoot.
        """
        rows, columns = (_span(np.any(self.live, axis=axis), 2) for axis in (1, 0))
        values, known = self.values[rows, columns], self.known[rows, columns]
        values = np.where(known, values, -np.inf).clip(min=self.values.max() - FLOOR)
        return Lattice(self.low, self.step, self.column + columns.start, self.row + rows.start, values, known)


def log_sum_exp(values: Array) -> float:
    """log sum exp over all entries; -inf for none."""
    if values.size == 0:
        return -np.inf
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


def _span(used: Mask, margin: int) -> slice:
    found = np.flatnonzero(used)
    return slice(max(int(found[0]) - margin, 0), int(found[-1]) + 1 + margin)


def fill(lattice: Lattice, log_joint: LogJoint, wanted: Mask | None = None) -> Lattice:
    """Evaluate the `wanted` nodes, then whatever borders on a live one, until the live nodes are surrounded.

    Grows the lattice where the mass reaches its border. Stops at MAX_NODES evaluations or MAX_SIDE nodes a side; what
    is then left out shows in `border_mass` or in the halving check.
    """
    evaluated = 0
    need = np.zeros_like(lattice.known) if wanted is None else wanted & ~lattice.known
    while True:
        rows, columns = np.nonzero(need)
        if len(rows):
            z = np.stack([lattice.x[columns], lattice.y[rows]], axis=-1)
            lattice.values[rows, columns] = log_joint(z)
            lattice.known[rows, columns] = True
            evaluated += len(rows)
        live = lattice.live
        at_border = live[[0, -1]].any() or live[:, [0, -1]].any()
        if at_border and max(live.shape) < MAX_SIDE:
            lattice = lattice.padded(max(8, max(live.shape) // 8))
            live = lattice.live
        need = np.logical_and(binary_dilation(live, EIGHT, iterations=2), ~lattice.known)
        if not need.any() or evaluated > MAX_NODES:
            return lattice


def refined(lattice: Lattice, log_joint: LogJoint) -> Lattice | None:
    """The part that carries the mass on a lattice with a smaller step; None where that would be too large."""
    region = _promising(lattice)
    rows, columns = (_span(np.any(region, axis=axis), 1) for axis in (1, 0))
    side = max(region[rows, columns].shape)
    factor = min(_factor(lattice), MAX_SIDE // side)
    if factor < 2:
        return None
    inside, coarse = region[rows, columns], lattice.values[rows, columns]
    fine_rows, fine_columns = (factor * (n - 1) + 1 for n in coarse.shape)
    i, j = np.arange(fine_rows) / factor, np.arange(fine_columns) / factor
    values = map_coordinates(coarse, np.meshgrid(i, j, indexing="ij"), order=1, mode="nearest")
    wanted = inside[np.ix_(np.rint(i).astype(int), np.rint(j).astype(int))]
    column, row = factor * (lattice.column + columns.start), factor * (lattice.row + rows.start)
    known = np.zeros_like(wanted)
    return fill(Lattice(lattice.low, lattice.step / factor, column, row, values, known), log_joint, wanted)


def _second_differences(values: Array) -> tuple[Array, Array, Array]:
    """|d2/dx2|, |d2/dy2|, |d2/dxdy| of the values times the step squared."""
    v = np.pad(values, 1, mode="edge")
    centre = v[1:-1, 1:-1]
    xx = v[1:-1, 2:] - 2.0 * centre + v[1:-1, :-2]
    yy = v[2:, 1:-1] - 2.0 * centre + v[:-2, 1:-1]
    xy = 0.25 * (v[2:, 2:] - v[2:, :-2] - v[:-2, 2:] + v[:-2, :-2])
    return np.abs(xx), np.abs(yy), np.abs(xy)


def _promising(lattice: Lattice) -> Mask:
    """Nodes in whose cell the value may come within LIVE nats of the highest."""
    return lattice.reach() > lattice.values[lattice.known].max() - LIVE


def _factor(lattice: Lattice) -> int:
    """By how much to divide the step for STEP_WANTED standard deviations, going by the curvature at the top."""
    xx, yy, _ = _second_differences(lattice.values)
    top = lattice.values > lattice.values.max() - 3.0
    steps = np.sqrt(max(xx[top].max(), yy[top].max()))
    return int(np.clip(np.ceil(steps / STEP_WANTED), 2, MAX_FACTOR))
