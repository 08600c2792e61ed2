"""Conversion of an uploaded picture to an image of a run's shape."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.decode import decode
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape


def image_from_bytes(data: bytes, event_shape: EventShape, max_bytes: int = 5_000_000) -> Float[Tensor, "C H W"]:
    """Return float32 pixels in [0, 1] of a PNG, JPEG, BMP, WebP or GIF (its first frame).

    The picture is cropped around its centre to the shape's aspect ratio, resized, and converted to grey or RGB.

    Raises:
        UserError: the file is empty, too large, truncated or not a picture, or has too many pixels.
    """
    if len(data) > max_bytes:
        raise UserError(f"wanted a picture of at most {max_bytes / 1e6:g} MB, got {len(data) / 1e6:.1f} MB")
    channels, height, width = event_shape
    return torch.from_numpy(decode(data, "the picture", channels, height, width)).to(torch.float32) / 255.0
