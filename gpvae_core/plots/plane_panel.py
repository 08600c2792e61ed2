"""A panel of a figure that shows a plane at equal scales, and arrows to what lies outside of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpvae_core.inspection.views import Array, PlaneGrid
from gpvae_core.plots.theme import Theme, axis

ARROW = 22.0
"""Length of an arrow to a target outside, in pixels."""


@dataclass(frozen=True)
class PlanePanel:
    """A panel: the number of its axes ("", "2", ...), its position in paper coordinates, and the range it shows."""

    number: str
    x: tuple[float, float]
    """Left and right end in the figure."""
    y: tuple[float, float]
    """Lower and upper end in the figure."""
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    @property
    def axes(self) -> dict[str, str]:
        """The axes of a trace in this panel."""
        return {"xaxis": f"x{self.number}", "yaxis": f"y{self.number}"}

    def layout(self, theme: Theme, x_title: str, y_title: str, nticks: int) -> dict[str, Any]:
        """Return the two axes, whose scales stay equal under zooming."""
        common = {"showgrid": False, "nticks": nticks}
        return {
            f"xaxis{self.number}": axis(
                theme, x_title, domain=self.x, range=self.x_range, anchor=self.axes["yaxis"], **common
            ),
            f"yaxis{self.number}": axis(
                theme, y_title, domain=self.y, range=self.y_range, anchor=self.axes["xaxis"],
                scaleanchor=self.axes["xaxis"], **common,
            ),
        }  # fmt: skip


def panel(
    view: PlaneGrid, number: str, x: tuple[float, float], y: tuple[float, float], size: tuple[float, float]
) -> PlanePanel:
    """Return the panel of a grid at equal scales, in a figure whose plotting area has `size` pixels."""
    wide, high = (x[1] - x[0]) * size[0], (y[1] - y[0]) * size[1]
    scale = max((view.x[-1] - view.x[0]) / wide, (view.y[-1] - view.y[0]) / high)

    def span(grid: Array, pixels: float) -> tuple[float, float]:
        centre, half = 0.5 * float(grid[0] + grid[-1]), 0.5 * float(scale) * pixels
        return centre - half, centre + half

    return PlanePanel(number, x, y, span(view.x, wide), span(view.y, high))


def inside(points: Array, place: PlanePanel) -> NDArray[np.bool_]:
    """Return whether each of the points (N, 2) is within the range of a panel."""
    (x0, x1), (y0, y1) = place.x_range, place.y_range
    return (points[:, 0] >= x0) & (points[:, 0] <= x1) & (points[:, 1] >= y0) & (points[:, 1] <= y1)


def hidden_words(shown: NDArray[np.bool_], what: str) -> str:
    """Return how many of the points (N,) are not shown, in words; '' for none.

    >>> hidden_words(np.array([True, False, False]), "sample")
    '2 of 3 samples outside'
    """
    hidden = int((~shown).sum())
    return f"{hidden} of {len(shown)} {what}{'s' * (len(shown) != 1)} outside" if hidden else ""


def arrow(target: Array, place: PlanePanel, theme: Theme) -> dict[str, Any]:
    """Return an arrow inside the panel that ends at its edge and points to a target outside."""
    ends = np.array([place.x_range, place.y_range])
    centre, half = ends.mean(1), 0.5 * (ends[:, 1] - ends[:, 0])
    direction = target - centre
    edge = centre + direction / np.abs(direction / half).max()
    # The ray from the centre leaves the panel where its larger relative coordinate reaches 1. An annotation's tail is
    # in pixels, with the vertical axis pointing down.
    tail = -ARROW * direction / np.linalg.norm(direction) * (1.0, -1.0)
    return {
        "name": "outside", "text": "", "x": float(edge[0]), "y": float(edge[1]), "ax": float(tail[0]),
        "ay": float(tail[1]), "xref": place.axes["xaxis"], "yref": place.axes["yaxis"], "showarrow": True,
        "arrowhead": 2, "arrowwidth": 1.5, "arrowcolor": theme.text,
    }  # fmt: skip
