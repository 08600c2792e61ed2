"""Posterior mass beyond the atlas, detected on a coarse lattice around it.

The mass on the atlas's border does not show a mode outside that is separated from the rest. So log p(x, z) of every
image is evaluated on coarse nodes around the atlas as well, and on fine ones where the coarse ones find mass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gpvae_core.truth.lattice import LIVE, Lattice, LogJoint, Mask, fill, log_sum_exp

Array = NDArray[np.float64]

STEP = 1 / 3
"""Largest coarse step, in standard deviations of the prior. With 1/3 no mass of a trained model was missed in tests,
with 0.4 some was."""
REACH = 2
"""Extent of the coarse nodes over that of the atlas. N(0, I) has at |z| = 8 a density of exp(-32) times its maximum."""


@dataclass(frozen=True)
class Surroundings:
    """A coarse lattice over [-REACH extent, REACH extent]^2 whose nodes within the atlas take the atlas's values."""

    extent: float
    """The atlas covers [-extent, extent]^2."""
    prior_std: float = 1.0
    """Smallest standard deviation of the prior."""

    @cached_property
    def axis(self) -> Array:
        """(W,) coordinates of the coarse nodes; the atlas's border is among them."""
        cells = math.ceil(self.extent / (STEP * self.prior_std))
        return np.linspace(-REACH * self.extent, REACH * self.extent, 2 * REACH * cells + 1)

    @cached_property
    def outside(self) -> Mask:
        """(W, W) whether a node lies beyond the atlas."""
        beyond = np.abs(self.axis) > self.extent * (1 + 1e-9)  # linspace may round the atlas's border outwards
        return beyond[:, None] | beyond[None]

    @property
    def z(self) -> Array:
        """(F, 2) coordinates of the nodes beyond the atlas, in the order of `outside`."""
        rows, columns = np.nonzero(self.outside)
        return np.stack([self.axis[columns], self.axis[rows]], axis=-1)

    def coarse(self, inner: Lattice, values: Array) -> Lattice:
        """Return the coarse lattice of one image from log p(x, z) (F,) at the nodes `z` and the atlas's lattice."""
        nearest = np.rint((self.axis - inner.low) / inner.step).astype(int).clip(0, len(inner.x) - 1)
        wide = inner.values[np.ix_(nearest, nearest)]
        wide[self.outside] = values
        return Lattice(float(self.axis[0]), float(self.axis[1] - self.axis[0]), 0, 0, wide, np.ones_like(self.outside))

    def log_mass(self, coarse: Lattice) -> float:
        """Return an upper estimate of the log mass beyond the atlas in nats, each cell as high as its `upper_bound`."""
        return log_sum_exp(coarse.upper_bound()[self.outside]) + 2.0 * np.log(coarse.step)

    def joined(self, inner: Lattice, coarse: Lattice, log_joint: LogJoint) -> Lattice:
        """Return the atlas's lattice extended to the coarse one's border, evaluated where there may be mass."""
        wide = inner.padded(round((self.axis[-1] - self.extent) / inner.step))
        # Positions of the fine nodes in units of coarse cells, as map_coordinates takes them.
        positions = np.meshgrid(*((c - coarse.low) / coarse.step for c in (wide.y, wide.x)), indexing="ij")
        interpolated = map_coordinates(coarse.values, positions, order=1, mode="nearest")
        live = coarse.upper_bound() > max(inner.values.max(), coarse.values.max()) - LIVE
        live_outside = np.logical_and(live, self.outside).astype(float)
        requested = map_coordinates(live_outside, positions, order=0, mode="nearest") > 0
        values = np.where(wide.evaluated, wide.values, interpolated)
        return fill(Lattice(wide.low, wide.step, wide.column, wide.row, values, wide.evaluated), log_joint, requested)
