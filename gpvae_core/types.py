"""Aliases of shapes, and the validation of images at public boundaries.

Axis letters (see NOTATION.md): N data, B batch, K samples, D latent dimensions, P features, G grid points,
C channels, H rows, W columns; `*event` is the shape of one image, (C, H, W).
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError

Images: TypeAlias = Float[Tensor, "B C H W"]
EventShape: TypeAlias = tuple[int, int, int]
UNIT_RANGE = (0.0, 1.0)
"""Range of the pixels of ordinary images."""


def as_images(x: Tensor, event_shape: EventShape, pixel_range: tuple[float, float] | None = UNIT_RANGE) -> Images:
    """Return one image (C, H, W) or a batch (B, C, H, W) as a validated float32 batch.

    Args:
        pixel_range: bounds of the values; None for values without bounds, as points of a synthetic data set.

    Raises:
        UserError: the shape is wrong, the batch is empty, or values are NaN, infinite or out of range.
    """
    if x.ndim == len(event_shape):
        x = x.unsqueeze(0)
    if tuple(x.shape[1:]) != tuple(event_shape):
        raise UserError(
            f"wanted images of shape {tuple(event_shape)} or (batch, {', '.join(map(str, event_shape))}), "
            f"got {tuple(x.shape)}; was the image resized to the run's data set?"
        )
    if len(x) == 0:
        raise UserError("wanted at least one image, got an empty batch")
    x = x.to(torch.float32)
    wanted = "values" if pixel_range is None else f"pixels in [{pixel_range[0]:g}, {pixel_range[1]:g}]"
    if not bool(torch.isfinite(x).all()):
        raise UserError(f"wanted finite {wanted}, got NaN or infinity")
    low, high = float(x.min()), float(x.max())
    if pixel_range is not None and not pixel_range[0] <= low <= high <= pixel_range[1]:
        raise UserError(
            f"wanted {wanted}, got {low:g} to {high:g}; were levels not divided by the highest, 255 for bytes?"
        )
    return x
