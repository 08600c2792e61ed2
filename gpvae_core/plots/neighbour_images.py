"""MAPA Lab: the most probable training images of a test image, under MAPA and under the trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.image_views import Neighbour, NeighboursView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, figure_of, scatter
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.theme import Theme, bare_axis, frame, heading, plain, shortened, wrapped

WIDTH = 860
COLUMNS = 10
CELL = 1.0
"""Side of a cell in axis units."""
PICTURE, CAPTION, TITLE = 0.84, 0.5, 0.55
"""Sizes of a picture, its caption and a list's title, in axis units."""
INPUT = 2.2
"""Width of the test image and its reconstruction, left of the lists, in axis units."""
PIXELS = 70
"""Pixels per axis unit."""
LABEL, TITLE_LETTERS = 6, 22
"""Largest length of a class's name below a picture, and of a line of the test image's title."""


def _rows(count: int) -> int:
    return max(1, -(-count // COLUMNS))


def _caption(neighbour: Neighbour) -> str:
    label = "" if neighbour.label is None else f"{shortened(neighbour.label, LABEL)} · "
    return f"{label}{neighbour.probability:.2g}"


def _hover(neighbour: Neighbour, name: str) -> str:
    label = "" if neighbour.label is None else f", class {plain(neighbour.label)}"
    return (
        f"{name}: training image {neighbour.index}{label}<br>probability {neighbour.probability:.3g}<br>"
        f"distance {neighbour.distance:.3f} (root mean square, pixel units)<br>"
        f"distance of the codes {neighbour.latent_distance:.3f} prior sd<br>"
        f"{'in both lists' if neighbour.shared else 'in this list alone'}"
    )


def _place(number: int, top: float) -> tuple[float, float]:
    """Return the upper left corner of a picture."""
    row, column = divmod(number, COLUMNS)
    return INPUT + column * CELL, top - row * (CELL + CAPTION)


def _list(
    items: Sequence[Neighbour], name: str, top: float, theme: Theme, colour: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Mark, list[dict[str, Any]]]:
    """Return the pictures, captions, hover targets and frames of a list; images in both lists have a solid frame."""
    pictures, notes, frames = [], [], []
    xs, ys = [], []
    for number, neighbour in enumerate(items):
        x, y = _place(number, top)
        pictures.append(placed(neighbour.image, x, y, PICTURE))
        notes.append(
            heading(
                theme, _caption(neighbour), x + PICTURE / 2, y - PICTURE - 0.02, xref="x", yref="y", xanchor="center",
                yanchor="top", font={"size": 10, "color": theme.muted},
            )
        )  # fmt: skip
        frames.append(
            {
                "type": "rect", "xref": "x", "yref": "y", "x0": x, "x1": x + PICTURE, "y0": y - PICTURE, "y1": y,
                "line": {
                    "color": colour, "width": 2.5 if neighbour.shared else 1,
                    "dash": "solid" if neighbour.shared else "dot",
                },
            }
        )  # fmt: skip
        xs.append(x + PICTURE / 2)
        ys.append(y - PICTURE / 2)
    marks = scatter(
        x=xs, y=ys, mode="markers", name=name, customdata=[neighbour.index for neighbour in items],
        text=[_hover(neighbour, name) for neighbour in items], hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "square", "size": int(PIXELS * PICTURE), "color": "rgba(0,0,0,0)"},
    )  # fmt: skip
    return pictures, notes, marks, frames


def _input(view: NeighboursView, top: float, theme: Theme) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the test image, and below it its reconstruction, with their titles."""
    images: tuple[tuple[Array, str, float], ...] = (
        (view.image, wrapped(view.title, TITLE_LETTERS), top),
        (view.reconstruction, "decoded from its code", top - CELL - CAPTION - TITLE),
    )
    pictures = [placed(image, 0.0, y, 1.5 * PICTURE) for image, _, y in images]
    notes = [heading(theme, words, 0.0, y + 0.04, xref="x", yref="y") for _, words, y in images]
    return pictures, notes


def figure(view: NeighboursView, theme: Theme) -> go.Figure:
    """Return both lists of pictures with class and probability; `customdata` is the training index."""
    rows = _rows(max(len(view.mapa), len(view.empirical)))
    block = rows * (CELL + CAPTION) + TITLE
    height = 2 * block
    lists = (
        (view.mapa, "MAPA, by the pixels alone", theme.gaussians[0].colour),
        (view.empirical, "empiricalized posterior, by the model", theme.base),
    )
    tops = [height - TITLE, height - TITLE - block]
    pictures, notes = _input(view, height - TITLE, theme)
    marks: list[Mark] = []
    frames: list[dict[str, Any]] = []
    for (items, name, colour), top in zip(lists, tops, strict=True):
        more, captions, mark, around = _list(items, name, top, theme, colour)
        pictures += more
        notes += [*captions, heading(theme, f"<b>{name}</b>", INPUT, top + 0.04, xref="x", yref="y")]
        marks.append(mark)
        frames += around
    layout = frame(theme, WIDTH, int(PIXELS * height) + 10, (6, 6, 4, 6), hovermode="closest")
    layout |= {
        "xaxis": bare_axis(range=[0.0, INPUT + COLUMNS * CELL]),
        "yaxis": bare_axis(range=[0.0, height]),
        "images": pictures,
        "annotations": notes,
        "shapes": frames,
    }
    return figure_of(marks, layout)
