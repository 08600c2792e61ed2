"""Traces as plain dicts: a Figure checks them once, trace objects would be checked twice (half of a figure's time)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Mark: TypeAlias = dict[str, Any]


def scatter(**fields: Any) -> Mark:
    """Return points or lines as SVG."""
    return {"type": "scatter", **fields}


def scattergl(**fields: Any) -> Mark:
    """Return many points, by WebGL."""
    return {"type": "scattergl", **fields}


def placed(xy: np.ndarray, index: np.ndarray, rows: Any) -> Mark:
    """Return the fields of a map's points in these rows, each of which knows its index."""
    return {"x": xy[rows, 0], "y": xy[rows, 1], "customdata": index[rows], "mode": "markers"}


def bar(**fields: Any) -> Mark:
    """Bars."""
    return {"type": "bar", **fields}


def heatmap(**fields: Any) -> Mark:
    """Return a grid of values in colour."""
    return {"type": "heatmap", **fields}
