"""Bytes of a picture file -> pixels: checked, upright, cropped in the middle, resized."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gpvae_core.data.damage import short
from gpvae_core.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
MAX_PIXELS = 50_000_000
"""Largest picture that is read; a small file can claim far more than memory holds."""
_MODES = {1: "L", 3: "RGB"}
_DAMAGE = (OSError, EOFError, SyntaxError, ValueError, zlib.error, struct.error, OverflowError, IndexError, KeyError)


def is_picture(name: str) -> bool:
    """Return whether a file's name ends like a picture's."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """(width, height) from the header. Raises UserError on anything but a picture."""
    with _open(data, name) as image:
        return image.size


def decode(data: bytes, name: str, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """Pixels (C, H, W) from 0 to 255: the first frame, upright, cropped in the middle to the wanted aspect, resized.

    Transparent parts count as white, as on a page. `name` is how an error calls the picture.

    Raises:
        UserError: no picture of a known kind, too many pixels, truncated or damaged.
    """
    with _open(data, name) as image:
        try:
            upright = _flat(ImageOps.exif_transpose(image), _MODES[channels])
            fitted = _middle(upright, width / height).resize((width, height), Image.Resampling.LANCZOS)
        except _DAMAGE as error:
            raise UserError(f"{name} is truncated or damaged ({short(error)}): save or copy it again") from None
    pixels = np.array(fitted)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _open(data: bytes, name: str) -> Image.Image:
    if not data:
        raise UserError(f"{name} is empty: wanted a picture (PNG, JPEG, BMP, WebP or GIF)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many(name) from None
    except _DAMAGE:
        raise UserError(
            f"{name} is no picture that can be read, or is truncated: wanted PNG, JPEG, BMP, WebP or GIF"
        ) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_many(name)
    return image


def _too_many(name: str) -> UserError:
    return UserError(f"{name} has too many pixels: wanted at most {MAX_PIXELS // 1_000_000} million; make it smaller")


def _middle(image: Image.Image, aspect: float) -> Image.Image:
    """The largest part in the middle with this width over height; cut first, so that nothing from outside leaks in."""
    width = max(1, min(image.width, round(image.height * aspect)))
    height = max(1, min(image.height, round(image.width / aspect)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """The picture in `mode`, over white where it is transparent; 16-bit grey scaled to 8 bits instead of clipped."""
    if image.mode.startswith("I"):
        deep = np.asarray(image, np.float64) / 257.0
        return Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8)).convert(mode)
    if not image.has_transparency_data:
        return image.convert(mode)
    layers = image.convert("RGBA")
    white = Image.new("RGBA", layers.size, "white")
    return Image.alpha_composite(white, layers).convert(mode)
