"""Contour lines of a grid, computed here because in the browser each level costs as much as the rest of a figure."""

from __future__ import annotations

import contourpy
import numpy as np

from gpvae_core.inspection.views import Array


def level_lines(x: Array, y: Array, z: Array, level: float) -> Array:
    """Return the lines (M, 2) on which z (Gy, Gx), interpolated linearly, equals `level`; NaN separates the lines."""
    lines = contourpy.contour_generator(x, y, z).lines(level)
    gap = np.full((1, 2), np.nan)
    pieces = [piece for line in lines for piece in (gap, np.asarray(line))][1:]
    return np.concatenate(pieces) if pieces else np.empty((0, 2))
