"""GP-Prior Lab: one object at a value of a number: the prediction beside the truth, and the training views near it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import BehindView, ShownImage, TurnView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import figure_of, scatter, texts
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.prior_curves import LEGEND, RunLook, axes_below, band, looks
from gpvae_core.plots.theme import Theme, bare_axis, frame, plain, shortened

WIDTH, HEIGHT = 440, 330
BIG, SMALL, TOP = 128.0, 80.0, 34.0
DEGREES = {"rad": 180.0 / math.pi, "degrees": 1.0}
"""Factor by which angles in a unit become degrees."""
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
"""What images of a split are called."""


def place_words(at: float, axis: str) -> str:
    """Return a value of a number with its unit; an angle in radians in degrees too.

    >>> place_words(1.5707963, "angle (rad)"), place_words(45.0, "angle (degrees)"), place_words(3.0, "time (s)")
    ('1.571 rad (90.0°)', '45.0°', '3 s')
    """
    unit = axis.partition(" (")[2].rstrip(")")
    turned = f"{at * DEGREES[unit]:.1f}°" if unit in DEGREES else ""
    if unit == "degrees":
        return turned
    return f"{at:.4g} {unit}".strip() + (f" ({turned})" if turned else "")


def _note(theme: Theme, text: str, x: float, y: float, size: int = 11, **more: Any) -> dict[str, Any]:
    font = {"size": size, "color": theme.text}
    return {"text": text, "x": x, "y": y, "xanchor": "center", "yanchor": "bottom", "font": font, **more}


def _outline(
    x: float, y: float, size: float, shape: Sequence[int], colour: str, width: float, dash: str
) -> dict[str, Any]:
    """Return a frame around an image (C, H, W) whose longer side is `size`, with its upper left corner at (x, y)."""
    rows, columns = shape[-2:]
    wide, high = size * columns / max(rows, columns), size * rows / max(rows, columns)
    line = {"color": colour, "width": width, "dash": dash or "solid"}
    return {"type": "rect", "x0": x, "x1": x + wide, "y0": y, "y1": y + high, "line": line}


class PictureSheet:
    """Images and texts at places in pixels, from the upper left corner."""

    def __init__(self, theme: Theme, width: int, height: int) -> None:
        self._theme, self._size = theme, (width, height)
        self._images: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []
        self._notes: list[dict[str, Any]] = []
        self._marks: list[dict[str, Any]] = []

    def mark(self, mark: dict[str, Any]) -> None:
        """Add a trace, such as invisible marks on pictures that can be picked."""
        self._marks.append(mark)

    def image(
        self, image: Array, x: float, y: float, size: float, colour: str = "", width: float = 1.0, dash: str = ""
    ) -> None:
        self._images.append(placed(image, x, y, size))
        self._shapes.append(_outline(x, y, size, image.shape, colour or self._theme.muted, width, dash))

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        box = {"x0": x, "x1": x + width, "y0": y, "y1": y + height}
        self._shapes.append({"type": "rect", **box, "fillcolor": colour, "line": {"width": 0}})

    def ring(self, x: float, y: float, width: float, height: float) -> None:
        """Draw a frame around what is chosen."""
        box = {"x0": x, "x1": x + width, "y0": y, "y1": y + height}
        self._shapes.append({"type": "rect", **box, "line": {"width": 3, "color": self._theme.text}})

    def say(self, text: str, x: float, y: float, size: int = 11, **more: Any) -> None:
        self._notes.append(_note(self._theme, text, x, y, size, **more))

    def figure(self) -> go.Figure:
        width, height = self._size
        layout = frame(self._theme, width, height, (0, 0, 0, 0), images=self._images, shapes=self._shapes)
        layout |= {"xaxis": bare_axis(range=[0, width]), "yaxis": bare_axis(range=[height, 0])}
        return figure_of([*self._marks, texts(self._notes)], layout)


def prediction(views: Sequence[TurnView], theme: Theme) -> go.Figure:
    """Return the true view, if there is one, and for each run the decoded mean and the spread of its pixels."""
    first, sheet = views[0], PictureSheet(theme, WIDTH, HEIGHT)
    runs = looks([view.run for view in views], theme)
    most = max(float(view.spread.max()) for view in views)
    step = (WIDTH - 8.0) / 3
    truth = "true view" if first.truth is None else f"{SPLITS[first.truth.split]} image"
    sheet.say(f"<b>{truth}</b>", 4 + BIG / 2, TOP - 3)
    if first.truth is None:
        sheet.say("none at this place", 4 + BIG / 2, TOP + BIG / 2, 11)
    else:
        sheet.image(first.truth.image, 4, TOP, BIG)
    for k, (view, look) in enumerate(zip(views, runs, strict=False)):
        error = "" if view.mse is None else f"MSE {view.mse:.4f}"
        x = 4 + step * (k + 1)
        sheet.say(f"<b>{'decoded mean' if len(views) == 1 else shortened(look.name, 18)}</b>", x + BIG / 2, TOP - 3)
        sheet.image(view.mean, x, TOP, BIG, look.colour, 2)
        sheet.say(error, x + BIG / 2, TOP + BIG + 3, yanchor="top")
        x, y = (4 + step * 2, TOP) if len(views) == 1 else (x, TOP + BIG + 38)
        sheet.say(f"standard deviation, 0–{most:.2g}", x + BIG / 2, y - 3, 10)
        sheet.image(view.spread[None] / max(most, 1e-12), x, y, BIG, look.colour, 1)
    if len(views) == 1:
        _strip(first, runs[0], sheet)
    return sheet.figure()


def _strip(view: TurnView, look: RunLook, sheet: PictureSheet) -> None:
    """Draw the decoded means at other values below the prediction."""
    count = len(view.strip)
    step = (WIDTH - 8.0) / count
    size, top = step - 4, HEIGHT - 90.0
    sheet.say(f"decoded mean at other values of {plain(view.axis)}", 4, top - 22, xanchor="left")
    for k, (image, at) in enumerate(zip(view.strip, view.strip_at, strict=True)):
        sheet.image(image, 4 + k * step, top, size, look.colour, 1)
        sheet.say(_short_place(float(at), view.axis), 4 + k * step + size / 2, top + size + 2, 10, yanchor="top")


def _short_place(at: float, axis: str) -> str:
    unit = axis.partition(" (")[2].rstrip(")")
    return f"{round(at * DEGREES[unit], 1):g}°" if unit in DEGREES else f"{at:.3g}"


def behind(view: BehindView, theme: Theme) -> go.Figure:
    """Return the training views behind the prediction in rows of five, each with its share, a bar below it."""
    step, high = (WIDTH - 8.0) / 5, SMALL + 64
    sheet = PictureSheet(theme, WIDTH, HEIGHT)
    most = max((shown.share or 0.0 for shown in view.views), default=0.0)
    for k, shown in enumerate(view.views):
        x, y = 4 + k % 5 * step, 22 + k // 5 * (high + 10)
        place = "" if shown.at is None else _short_place(shown.at, view.axis)
        sheet.say(shortened(f"{shown.thing} {place}".strip(), 15), x + SMALL / 2, y - 2, 10)
        sheet.image(shown.image, x, y, SMALL)
        if shown.share is not None:
            sheet.bar(x, y + SMALL + 5, SMALL * shown.share / max(most, 1e-12), 6, theme.gaussians[0].colour)
            sheet.say(f"{100 * shown.share:.1f} %", x + SMALL / 2, y + SMALL + 13, 11, yanchor="top")
        sheet.say(_apart(shown, view), x + SMALL / 2, y + SMALL + (28 if shown.share else 4), 10, yanchor="top")
    return sheet.figure()


def _apart(shown: ShownImage, view: BehindView) -> str:
    """Return how far a view is along the number; '' without one."""
    if shown.at is None or view.at is None:
        return ""
    apart = abs(shown.at - view.at)
    if view.period:
        apart = min(apart % view.period, view.period - apart % view.period)
    return f"{_short_place(apart, view.axis)} away"


def curves(views: Sequence[TurnView], theme: Theme) -> go.Figure:
    """Return latent channels over the number for the object, with the values at which it was trained on."""
    first, marks = views[0], []
    for e in range(len(first.coordinates)):
        place = {"xaxis": "x", "yaxis": f"y{e + 1 if e else ''}"}
        marks += band(first.curves, e, looks([first.run], theme)[0], place)
        low = float((first.curves.mean[:, e] - 2 * first.curves.deviation[:, e]).min())
        marks.append(
            scatter(
                x=first.trained_at, y=np.full(len(first.trained_at), low), mode="markers", name="training view",
                showlegend=e == 0, hovertemplate="training view at %{x:.4g}<extra></extra>",
                marker={"symbol": "line-ns-open", "size": 9, "color": theme.text, "line": {"width": 1.6}}, **place,
            )
        )  # fmt: skip
    layout = frame(theme, WIDTH, HEIGHT, (52, 8, 32, 38), showlegend=True)
    layout |= axes_below(first.coordinates, first.axis, theme)
    line = {"color": theme.base, "width": 1.6, "dash": "dot"}
    across = {"type": "line", "xref": "x", "yref": "paper", "x0": first.at, "x1": first.at, "y0": 0, "y1": 1}
    layout["shapes"] = [{**across, "line": line}]
    layout["legend"] = {**LEGEND, "font": {"size": 10, "color": theme.text}}
    return figure_of(marks, layout)
