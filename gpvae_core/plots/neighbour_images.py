"""MAPA Lab: the training images nearest to a test image, by the pixels alone and by the trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.mapa_lab.image_views import Neighbour, NeighboursView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, scatter
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.theme import Theme, bare_axis, frame, heading

WIDTH = 860
COLUMNS = 10
CELL = 1.0
"""Axis units a side; a picture fills PICTURE of it, its caption the rest."""
PICTURE, CAPTION, TITLE = 0.84, 0.5, 0.55
INPUT = 2.2
"""Units that the test image and its reconstruction take, left of the lists."""
PIXELS = 70
"""Width of one unit."""


def _rows(count: int) -> int:
    return max(1, -(-count // COLUMNS))


def _caption(one: Neighbour) -> str:
    label = "" if one.label is None else f"{one.label} · "
    return f"{label}{one.probability:.2g}"


def _hover(one: Neighbour, name: str) -> str:
    label = "" if one.label is None else f", class {one.label}"
    return (
        f"{name}: training image {one.index}{label}<br>probability {one.probability:.3g}<br>"
        f"distance {one.distance:.3f} (root mean square, pixel units)<br>"
        f"distance of the codes {one.latent_distance:.3f} prior sd<br>"
        f"{'in both lists' if one.shared else 'in this list alone'}"
    )


def _place(number: int, top: float) -> tuple[float, float]:
    """Upper left corner of the picture."""
    row, column = divmod(number, COLUMNS)
    return INPUT + column * CELL, top - row * (CELL + CAPTION)


def _list(
    items: Sequence[Neighbour], name: str, top: float, theme: Theme, colour: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Mark, list[dict[str, Any]]]:
    """Pictures, captions, a mark over each to point at, and frames; an image of both lists has a full frame."""
    pictures, notes, frames = [], [], []
    xs, ys = [], []
    for number, one in enumerate(items):
        x, y = _place(number, top)
        pictures.append(placed(one.image, x, y, PICTURE))
        notes.append(
            heading(
                theme, _caption(one), x + PICTURE / 2, y - PICTURE - 0.02, xref="x", yref="y", xanchor="center",
                yanchor="top", font={"size": 10, "color": theme.muted},
            )
        )  # fmt: skip
        frames.append(
            {
                "type": "rect", "xref": "x", "yref": "y", "x0": x, "x1": x + PICTURE, "y0": y - PICTURE, "y1": y,
                "line": {"color": colour, "width": 2.5 if one.shared else 1, "dash": "solid" if one.shared else "dot"},
            }
        )  # fmt: skip
        xs.append(x + PICTURE / 2)
        ys.append(y - PICTURE / 2)
    marks = scatter(
        x=xs, y=ys, mode="markers", name=name, customdata=[one.index for one in items],
        text=[_hover(one, name) for one in items], hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "square", "size": int(PIXELS * PICTURE), "color": "rgba(0,0,0,0)"},
    )  # fmt: skip
    return pictures, notes, marks, frames


def _input(view: NeighboursView, top: float, theme: Theme) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the test image, and below it what the decoder makes of its code."""
    images: tuple[tuple[Array, str, float], ...] = (
        (view.image, view.title, top),
        (view.reconstruction, "decoded from its code", top - CELL - CAPTION - TITLE),
    )
    pictures = [placed(image, 0.0, y, 1.5 * PICTURE) for image, _, y in images]
    notes = [heading(theme, words, 0.0, y + 0.04, xref="x", yref="y") for _, words, y in images]
    return pictures, notes


def figure(view: NeighboursView, theme: Theme) -> go.Figure:
    """Two rows of pictures with class and probability; `customdata` is the training index. Full frames: in both."""
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
    return go.Figure(marks, layout)
