"""Conversion of an uploaded picture to an image of a run's shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.base import DATASETS, DataConfig, parse_name
from gpvae_core.data.damage import percent
from gpvae_core.data.decode import Picture, decode
from gpvae_core.data.levels import LEAST_SHARE, check_levels
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape


def value_of_white(config: DataConfig) -> int | None:
    """Return the value of white in a picture of the kind that a run was trained on, if it was told."""
    return config.levels if DATASETS.get(parse_name(config.name)[0]).are_pictures else None


@dataclass(frozen=True)
class Uploaded:
    """An uploaded picture as an image of a run's shape."""

    image: Float[Tensor, "C H W"]
    """float32 pixels in [0, 1]."""
    note: str
    """In one line: that a part of the picture was left out, or that its values use a sliver of [0, 1]; else empty."""


def image_from_bytes(
    data: bytes, event_shape: EventShape, max_bytes: int = 5_000_000, white: int | None = None
) -> Uploaded:
    """Return the image of a PNG, JPEG, BMP, WebP or GIF (its first frame).

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
    picture = decode(data, "the uploaded file", channels, height, width, white)
    levels = 255 if picture.deep else white or 255
    check_levels(picture.pixels, levels, "the picture")
    image = torch.from_numpy(picture.pixels).to(torch.float32) / float(levels)
    frames = "the picture is animated: only its first frame is read" if picture.animated else ""
    return Uploaded(image, "; ".join(filter(None, (_crop_note(picture), frames, _darkness(image)))))


def _darkness(image: Float[Tensor, "C H W"]) -> str:
    """Return that an image's pixels use a sliver of [0, 1], in words; empty if they do not."""
    low, high = float(image.min()), float(image.max())
    if high - low >= LEAST_SHARE:
        return ""
    seen = "is nearly black" if high < LEAST_SHARE else "has hardly any contrast"
    span = f"are all {high:.2g}" if low == high else f"lie between {low:.2g} and {high:.2g}"
    return f"the picture {seen}: its values {span}, where 0 is black and 1 is white"


def _crop_note(picture: Picture) -> str:
    """Return that the picture was cropped, in words; empty if it was not."""
    if not picture.cropped:
        return ""
    left_out = percent(picture.cropped)
    return f"the picture has another shape than the run's images, so only its middle is used ({left_out} is cut away)"
