"""A picture that someone uploads -> one image of a run's shape."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.decode import decode
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape


def image_from_bytes(data: bytes, event_shape: EventShape, max_bytes: int = 5_000_000) -> Float[Tensor, "C H W"]:
    """float32 pixels in [0, 1] of a PNG, JPEG, BMP, WebP or GIF (its first frame).

    Cropped in the middle to the shape's aspect, resized, made grey or RGB as the shape asks.

    Raises:
        UserError: empty, too large, no picture, too many pixels, truncated; one line each.
    """
    if len(data) > max_bytes:
        raise UserError(f"wanted a picture of at most {max_bytes / 1e6:g} MB, got {len(data) / 1e6:.1f} MB")
    channels, height, width = event_shape
    return torch.from_numpy(decode(data, "the picture", channels, height, width)).to(torch.float32) / 255.0
