"""A pad on which an image is drawn with the mouse, in grey, on the grid of the data set's pixels; Panel has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import param

from dashboards.widgets.base import Widget
from gpvae_core.errors import UserError
from gpvae_core.inspection.views import Array


def image_from_levels(levels: Any, event_shape: tuple[int, int, int]) -> Array:
    """Return H * W grey levels 0 to 255, row by row, as (C, H, W) in [0, 1], the same in every channel.

    Raises:
        UserError: a wrong number of levels, or something that is no grey level.
    """
    channels, rows, columns = event_shape
    if not isinstance(levels, list) or len(levels) != rows * columns:
        raise UserError(f"wanted a drawing of {rows} x {columns} grey levels, got something else")
    if not all(isinstance(level, int) and 0 <= level <= 255 for level in levels):
        raise UserError("wanted grey levels from 0 to 255 in the drawing")
    grey = np.asarray(levels, dtype=np.float32).reshape(1, rows, columns) / 255.0
    return np.repeat(grey, channels, axis=0)


class DrawingPad(Widget):
    """A canvas; the message is 'levels', the list of grey levels whenever a stroke ends."""

    rows = param.Integer(default=8, bounds=(1, None))
    columns = param.Integer(default=8, bounds=(1, None))
