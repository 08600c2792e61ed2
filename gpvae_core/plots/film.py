"""A film over figures, as plain data for its player: what is drawn over each figure at each step, and in words.

The moving parts are shapes, which a browser redraws in a fraction of the time of a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpvae_core.inspection.views import Array

Part = dict[str, Any]
"""Something that moves in one figure: its place at each step, and its looks."""
DIGITS = 4
"""Decimals of coordinates, which are in prior standard deviations or nats."""
WIDTH, TRAIL_WIDTH, RADIUS = 3.0, 1.5, 5.0
"""Of an outline, of a trail and of a dot, in pixels."""


def svg_path(line: Array) -> str:
    """Return a line (P, 2), with NaN between its pieces, as an SVG path in the figure's coordinates."""
    parts, pen = [], "M"
    for x, y in np.round(line, DIGITS):
        if not np.isfinite(x):
            pen = "M"
            continue
        parts.append(f"{pen}{x:g},{y:g}")
        pen = "L"
    return "".join(parts)


def rounded(value: float, digits: int = DIGITS) -> float | None:
    """Return a number as the player takes it: None where it is not finite, which JSON does not know."""
    return round(float(value), digits) if np.isfinite(value) else None


def outlines(lines: Sequence[Array], colour: str) -> Part:
    """Return a line (P, 2) at each step, in place of that of the step before."""
    return {"paths": [svg_path(line) for line in lines], "line": {"color": colour, "width": WIDTH}}


def trail(points: Array, colour: str, width: float = TRAIL_WIDTH, dash: str = "dot") -> Part:
    """Return the line through the points (S, 2) of all steps so far; points that are not finite are left out."""
    return {"trail": _places(points), "line": {"color": colour, "width": width, "dash": dash}}


def dots(points: Sequence[Array], colour: str, radius: float = RADIUS) -> Part:
    """Return some points (K, 2) at each step; those that are not finite are left out."""
    return {"dots": [[p for p in _places(each) if p] for each in points], "colour": colour, "radius": radius}


def last_dot(points: Array, colour: str) -> Part:
    """Return one point at each step, the last of the points (S, 2) so far that is finite."""
    finite = np.isfinite(points).all(1)
    last = np.maximum.accumulate(np.where(finite, np.arange(len(points)), -1))
    return dots([points[k : k + 1] if k >= 0 else points[:0] for k in last], colour)


def shapes(each: Sequence[Sequence[Mapping[str, Any]]], at: str) -> Part:
    """Return plotly shapes at each step, moved along x to where the figure's `layout.meta[at]` has room for them."""
    return {"shapes": [list(of_step) for of_step in each], "at": at}


def film(views: Mapping[str, Sequence[Part]], words: Sequence[str], readings: Sequence[float | None]) -> dict[str, Any]:
    """Return a film of as many frames as there are words.

    Args:
        views: name of each card -> what moves in its figure, the first part lowest.
        words: each step in words.
        readings: the number that each step is about.
    """
    return {"views": {name: list(parts) for name, parts in views.items()}, "words": [*words], "readings": [*readings]}


def _places(points: Array) -> list[list[float] | None]:
    places = [[rounded(x), rounded(y)] for x, y in points]
    return [None if None in place else place for place in places]  # pyright: ignore[reportReturnType]
