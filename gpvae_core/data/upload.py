"""Conversion of an uploaded picture to an image of a run's shape."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.base import DATASETS, DataConfig, parse_name
from gpvae_core.data.decode import decode
from gpvae_core.data.levels import check_levels, sliver_note, spans_of
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape


def value_of_white(config: DataConfig) -> int | None:
    """Return the value of white in a picture of the kind that a run was trained on, if it was told."""
    return config.levels if DATASETS.get(parse_name(config.name)[0]).are_pictures else None


def darkness(image: Float[Tensor, "C H W"]) -> str:
    """Return that an image's pixels use a sliver of [0, 1], in words; empty if they do not."""
    return sliver_note(spans_of(image.numpy()[None]), 1.0, "the picture", ", so that it is nearly black")


def image_from_bytes(
    data: bytes, event_shape: EventShape, max_bytes: int = 5_000_000, white: int | None = None
) -> Float[Tensor, "C H W"]:
    """Return float32 pixels in [0, 1] of a PNG, JPEG, BMP, WebP or GIF (its first frame).

    The picture is cropped around its centre to the shape's aspect ratio, resized, and converted to grey or RGB.

    Args:
        white: the picture's value that is a pixel of 1; by default 255, and WHITE_16 with 16 bits a channel.

    Raises:
        UserError: the file is empty, too large, truncated or not a picture, or has too many pixels, or a value above
            that of white.
    """
    if len(data) > max_bytes:
        raise UserError(f"wanted a picture of at most {max_bytes / 1e6:g} MB, got {len(data) / 1e6:.1f} MB")
    channels, height, width = event_shape
    picture = decode(data, "the picture", channels, height, width, white)
    levels = 255 if picture.deep else white or 255
    check_levels(picture.pixels, levels, "the picture")
    return torch.from_numpy(picture.pixels).to(torch.float32) / float(levels)
