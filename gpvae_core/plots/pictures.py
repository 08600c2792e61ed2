"""Conversion of images to PNG data URLs, enlarged without smoothing, for `layout.images` and for pages."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating]


def as_bytes(image: Array) -> NDArray[np.uint8]:
    """Return an image (C, H, W) in [0, 1] as bytes (H, W) or (H, W, 3); values outside are clipped."""
    levels = (np.clip(np.nan_to_num(image), 0.0, 1.0) * 255).round().astype(np.uint8)
    return levels[0] if levels.shape[0] == 1 else np.moveaxis(levels[:3], 0, -1)


def png_address(image: Array, side: int = 96) -> str:
    """Return an image (C, H, W) as `data:image/png;base64,...`, enlarged by an integer to at least `side` pixels."""
    levels = as_bytes(image)
    factor = max(1, -(-side // max(levels.shape[:2])))
    enlarged = levels.repeat(factor, axis=0).repeat(factor, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(enlarged).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def placed(image: Array, x: float, y: float, size: float, **more: Any) -> dict[str, Any]:
    """Return a layout image with its upper left corner at (x, y), `size` axis units on its longer side."""
    return {
        "source": png_address(image),
        "x": x,
        "y": y,
        "sizex": size,
        "sizey": size,
        "xanchor": "left",
        "yanchor": "top",
        "sizing": "contain",
        "xref": "x",
        "yref": "y",
        "layer": "above",
        **more,
    }
