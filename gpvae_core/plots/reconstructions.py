"""View 5: input, reconstructions with signed error maps, and a strip of decoded posterior samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.views import Reconstruction, ReconstructionView
from gpvae_core.plots.marks import Mark, figure_of, heatmap, texts
from gpvae_core.plots.pictures import placed
from gpvae_core.plots.theme import Theme, bare_axis, frame, wrapped

WIDTH, HEIGHT = 440, 260
TOP_ROW, ERROR_ROW, SAMPLE_ROW = 28.0, 104.0, 212.0
"""Upper edges of the three rows, in pixels from the top."""
SAMPLE_SIZE = 48.0
FULL_NAMES = {"best Gaussian": "best Gaussian (full)"}
"""Displayed names: the decoded best Gaussian is the one with full covariance."""


def _note(theme: Theme, text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    return {
        "text": text, "x": x, "y": y, "xanchor": "center", "yanchor": "bottom",
        "font": {"size": 10, "color": theme.text}, **more,
    }  # fmt: skip


def _error_map(
    item: Reconstruction,
    left: float,
    size: float,
    limit: float,
    theme: Theme,
    bar: bool,
) -> Mark:
    rows, columns = item.error.shape
    cell = size / max(rows, columns)
    scale = {
        "title": {"text": "error", "font": {"size": 10}}, "thickness": 9, "len": size,
        "lenmode": "pixels", "xpad": 0, "ypad": 0,
        "x": 2.0 / WIDTH, "xanchor": "left", "y": 1.0 - (ERROR_ROW + size / 2) / HEIGHT, "yanchor": "middle",
        "tickvals": [-limit, 0.0, limit], "ticktext": [f"−{limit:.2f}", "0", f"+{limit:.2f}"],
        "tickfont": {"size": 10, "color": theme.muted}, "outlinewidth": 0,
    }  # fmt: skip
    return heatmap(
        z=item.error.astype(np.float32),
        x0=left + cell / 2,
        dx=cell,
        y0=ERROR_ROW + cell / 2,
        dy=cell,
        zmin=-limit,
        zmax=limit,
        colorscale=theme.diverging_scale,
        showscale=bar,
        colorbar=scale if bar else None,
        name=item.name,
        hovertemplate=f"{item.name}: %{{z:+.3f}}<extra></extra>",
    )


def _frame(x: float, y: float, size: float, shape: tuple[int, ...], theme: Theme) -> dict[str, Any]:
    """Return a thin frame around an image (C, H, W) at (x, y), which shows its extent if its border is white."""
    rows, columns = shape[-2:]
    wide, high = size * columns / max(rows, columns), size * rows / max(rows, columns)
    left, top = x + 0.5 * (size - wide), y + 0.5 * (size - high)
    line = {"color": theme.muted, "width": 1}
    return {"type": "rect", "x0": left, "x1": left + wide, "y0": top, "y1": top + high, "line": line}


def _samples(view: ReconstructionView, theme: Theme) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    room = int(WIDTH // (SAMPLE_SIZE + 6))
    shown = view.samples[:room]
    images = [placed(image, 2.0 + k * (SAMPLE_SIZE + 6), SAMPLE_ROW, SAMPLE_SIZE) for k, image in enumerate(shown)]
    note = _note(theme, f"{len(shown)} samples of the posterior, decoded", 2.0, SAMPLE_ROW - 2, xanchor="left")
    return images, note


def figure(view: ReconstructionView, theme: Theme) -> go.Figure:
    """Return images in the first row, signed errors on one symmetric scale in the second, and samples in the third."""
    column = WIDTH / (len(view.items) + 1)
    size = min(column - 6.0, ERROR_ROW - TOP_ROW - 6.0)
    limit = max([float(np.abs(item.error).max()) for item in view.items] + [1e-3])
    images = [placed(view.image, 2.0, TOP_ROW, size)]
    notes = [_note(theme, "<b>input</b>", 2.0 + size / 2, TOP_ROW - 2)]
    traces = []
    for k, item in enumerate(view.items):
        left = (k + 1) * column
        images.append(placed(item.image, left, TOP_ROW, size))
        traces.append(_error_map(item, left, size, limit, theme, k == 0))
        notes.append(_note(theme, wrapped(FULL_NAMES.get(item.name, item.name), 14), left + size / 2, TOP_ROW - 2))
        notes.append(
            _note(
                theme,
                f"RMSE {item.rmse:.3f}",
                left + size / 2,
                ERROR_ROW + size + 2,
                yanchor="top",
            )
        )
    strip, note = _samples(view, theme)
    layout = frame(
        theme,
        WIDTH,
        HEIGHT,
        (0, 0, 0, 0),
        images=images + strip,
        shapes=[_frame(2.0, TOP_ROW, size, view.image.shape, theme)],
    )
    layout |= {
        "xaxis": bare_axis(range=[0, WIDTH]),
        "yaxis": bare_axis(range=[HEIGHT, 0]),
    }
    return figure_of([*traces, texts([*notes, note])], layout)
