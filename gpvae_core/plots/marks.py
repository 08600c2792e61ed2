"""Traces as plain dicts.

A Figure validates dicts once, but trace objects twice, which takes half of the time to build a figure.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Mark: TypeAlias = dict[str, Any]


def scatter(**fields: Any) -> Mark:
    """Return a trace of points or lines, drawn as SVG."""
    return {"type": "scatter", **fields}


def scattergl(**fields: Any) -> Mark:
    """Return a trace of many points, drawn by WebGL."""
    return {"type": "scattergl", **fields}


def placed(xy: np.ndarray, index: np.ndarray, rows: Any) -> Mark:
    """Return the fields of a trace with these rows of a map's points; `customdata` is their index."""
    return {"x": xy[rows, 0], "y": xy[rows, 1], "customdata": index[rows], "mode": "markers"}


def bar(**fields: Any) -> Mark:
    """Return a trace of bars."""
    return {"type": "bar", **fields}


def heatmap(**fields: Any) -> Mark:
    """Return a trace of a grid of values in colour."""
    return {"type": "heatmap", **fields}
