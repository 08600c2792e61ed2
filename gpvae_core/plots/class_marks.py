"""The points of a map by class: each class is told apart by its colour and symbol, and beyond a hundred by its name."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpvae_core.inspection.views import LabelledMap
from gpvae_core.plots.marks import Mark, placed, scattergl
from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme, plain, shortened

TOLD_APART = len(CLASS_SYMBOLS) ** 2
"""Number of classes that differ in colour or symbol, 100; ten colours with ten symbols each."""
NO_CLASS = "no class"
LABEL = 20
"""Largest length of a class's name in the legend."""


def class_style(c: int, theme: Theme) -> tuple[str, str]:
    """Return the colour and the symbol of a class; no two of TOLD_APART classes have both in common."""
    if c < 0:
        return theme.muted, CLASS_SYMBOLS[0]
    # The symbols are shifted by one after each round through the colours.
    tens = len(theme.classes)
    return theme.classes[c % tens], CLASS_SYMBOLS[(c + c // tens) % len(CLASS_SYMBOLS)]


def class_marks(view: LabelledMap, theme: Theme, image: str, **marker: Any) -> list[Mark]:
    """Return one trace per class, or, of more than TOLD_APART classes, a single one without a legend.

    Args:
        image: what a point stands for, such as "training image", as the hover text calls it beside the class's name.
        marker: what all markers have in common, such as their size.
    """
    # NOTE: one trace per class where the legend can show it; each costs the browser about a millisecond.
    classes = np.unique(view.class_index)
    if len(classes) > TOLD_APART:
        colours, symbols = zip(*(class_style(int(c), theme) for c in view.class_index), strict=True)
        names = [plain(view.class_name(int(c)) or NO_CLASS) for c in view.class_index]
        hover = f"{image} %{{customdata}}, class %{{text}}<extra></extra>"
        return [
            scattergl(
                **placed(view.xy, view.index, slice(None)), name="classes", text=names, showlegend=False,
                marker={"color": colours, "symbol": symbols, **marker}, hovertemplate=hover,
            )
        ]  # fmt: skip
    return [_one_class(view, int(c), theme, image, marker) for c in classes]


def _one_class(view: LabelledMap, c: int, theme: Theme, image: str, marker: dict[str, Any]) -> Mark:
    (colour, symbol), name = class_style(c, theme), (view.class_name(c) or NO_CLASS)
    return scattergl(
        **placed(view.xy, view.index, view.class_index == c), name=shortened(name, LABEL), showlegend=True,
        marker={"color": colour, "symbol": symbol, **marker},
        hovertemplate=f"{image} %{{customdata}}, class {plain(name)}<extra></extra>",
    )  # fmt: skip
