"""Mass beyond the atlas: coarse nodes around it, looked at for every image, and the lattice that goes where they point.

A mode out there that no mass connects with the atlas leaves no trace on the atlas's border.
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
"""The largest coarse step in prior units: with 1/3 no mass of a trained model was missed, with 0.4 now and then."""
REACH = 2
"""The coarse nodes reach so many times as far as the atlas; at 8 the prior's density is exp(-32) of its highest."""


@dataclass(frozen=True)
class Surroundings:
    """A coarse lattice over [-REACH extent, REACH extent]^2; its nodes within the atlas take the atlas's values."""

    extent: float
    """The atlas covers [-extent, extent]^2."""

    @cached_property
    def axis(self) -> Array:
        """(W,) coarse coordinates; the atlas's border is among them."""
        cells = math.ceil(self.extent / STEP)
        return np.linspace(-REACH * self.extent, REACH * self.extent, 2 * REACH * cells + 1)

    @cached_property
    def outside(self) -> Mask:
        """(W, W) True at the nodes beyond the atlas."""
        beyond = np.abs(self.axis) > self.extent * (1 + 1e-9)
        return beyond[:, None] | beyond[None]

    @property
    def z(self) -> Array:
        """(F, 2) the nodes beyond the atlas, in the order of `outside`."""
        rows, columns = np.nonzero(self.outside)
        return np.stack([self.axis[columns], self.axis[rows]], axis=-1)

    def coarse(self, inner: Lattice, values: Array) -> Lattice:
        """The coarse lattice of one image: log p(x, z) (F,) at `z`, and the atlas's where it reaches."""
        nearest = np.rint((self.axis - inner.low) / inner.step).astype(int).clip(0, len(inner.x) - 1)
        wide = inner.values[np.ix_(nearest, nearest)]
        wide[self.outside] = values
        return Lattice(float(self.axis[0]), float(self.axis[1] - self.axis[0]), 0, 0, wide, np.ones_like(self.outside))

    def log_mass(self, coarse: Lattice) -> float:
        """log of the mass beyond the atlas, in nats, taking each cell for as high as it may reach."""
        return log_sum_exp(coarse.reach()[self.outside]) + 2.0 * np.log(coarse.step)

    def joined(self, inner: Lattice, coarse: Lattice, log_joint: LogJoint) -> Lattice:
        """The atlas's lattice continued to where the coarse one ends, evaluated where there may be mass."""
        wide = inner.padded(round((self.axis[-1] - self.extent) / inner.step))
        at = np.meshgrid(*((c - coarse.low) / coarse.step for c in (wide.y, wide.x)), indexing="ij")
        between = map_coordinates(coarse.values, at, order=1, mode="nearest")
        live = coarse.reach() > max(inner.values.max(), coarse.values.max()) - LIVE
        wanted = map_coordinates(np.logical_and(live, self.outside).astype(float), at, order=0, mode="nearest") > 0
        values = np.where(wide.known, wide.values, between)
        return fill(Lattice(wide.low, wide.step, wide.column, wide.row, values, wide.known), log_joint, wanted)
