"""The latent space while a model trains: the encoder's means of test images, coloured by class."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gpvae_core.inspection.views import Array, LabelledMap
from gpvae_core.plots.class_marks import class_marks
from gpvae_core.plots.marks import figure_of
from gpvae_core.plots.theme import Theme, axis, frame, heading, plain

WIDTH, HEIGHT = 620, 440
SPAN = 4.0


def figure(
    means: Array,
    class_index: NDArray[np.integer],
    names: tuple[str, ...],
    title: str,
    theme: Theme,
) -> go.Figure:
    """Return the first two coordinates of means (N, D), in prior standard deviations, with one trace per class."""
    x, y = means[:, 0], means[:, min(1, means.shape[1] - 1)]
    points = LabelledMap(np.arange(len(x)), np.stack([x, y], 1), class_index, names)
    layout = frame(theme, WIDTH, HEIGHT, (46, 70, 26, 40), showlegend=True)
    layout["xaxis"] = axis(theme, "z1 (prior sd)", range=[-SPAN, SPAN], domain=[0.0, 0.97])
    layout["yaxis"] = axis(theme, "z2 (prior sd)", range=[-SPAN, SPAN])
    layout["legend"] = {
        "font": {"size": 11, "color": theme.text},
        "itemsizing": "constant",
        "x": 1.0,
        "y": 1.0,
    }
    layout["annotations"] = [heading(theme, plain(title), 0.0, 1.0, yshift=4)]
    return figure_of(class_marks(points, theme, "test image", size=6), layout)
