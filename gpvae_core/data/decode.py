"""Decoding of picture files to pixels: checked, upright, centre-cropped and resized."""

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
WANTED = "PNG, JPEG, BMP, WebP or GIF"
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
MAX_PIXELS = 50_000_000
"""Largest number of pixels of a picture. A small file can claim more pixels than fit into memory."""
_MODES = {1: "L", 3: "RGB"}
_DAMAGE = (OSError, EOFError, SyntaxError, ValueError, zlib.error, struct.error, OverflowError, IndexError, KeyError)


def is_picture(name: str) -> bool:
    """Return whether a file's name has the extension of a picture."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (width, height) from the header. Raises UserError if the data are not a picture."""
    with _open(data, name) as image:
        return image.size


def decode(data: bytes, name: str, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return pixels (C, H, W) from 0 to 255 of a picture's first frame.

    The picture is rotated upright, cropped around its centre to the target's aspect ratio, and resized. Transparent
    parts become white.

    Args:
        name: name of the picture in error messages.

    Raises:
        UserError: the data are not a supported picture, are truncated or damaged, or have too many pixels.
    """
    with _open(data, name) as image:
        try:
            upright = _opaque(ImageOps.exif_transpose(image), _MODES[channels])
            fitted = _centre_crop(upright, width / height).resize((width, height), Image.Resampling.LANCZOS)
        except _DAMAGE as error:
            raise UserError(f"{name} is truncated or damaged ({short(error)}): save or copy it again") from None
    pixels = np.array(fitted)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _open(data: bytes, name: str) -> Image.Image:
    if not data:
        raise UserError(f"{name} is empty: wanted a picture ({WANTED})")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many(name) from None
    except _DAMAGE:
        raise UserError(f"{name} is not a picture that can be read, or is truncated: wanted {WANTED}") from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_many(name)
    return image


def _too_many(name: str) -> UserError:
    return UserError(f"{name} has too many pixels: wanted at most {MAX_PIXELS // 1_000_000} million; make it smaller")


def _centre_crop(image: Image.Image, aspect: float) -> Image.Image:
    """Return the largest central part with this ratio of width to height."""
    # Crop before resizing: the resampling filter would otherwise mix in pixels from outside of the crop.
    width = max(1, min(image.width, round(image.height * aspect)))
    height = max(1, min(image.height, round(image.width / aspect)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _opaque(image: Image.Image, mode: str) -> Image.Image:
    """Return the picture in `mode`, over white where it is transparent."""
    if image.mode.startswith("I"):  # NOTE: Pillow's `convert` clips 16-bit grey to 255; scale it to 8 bits instead
        deep = np.asarray(image, np.float64) / 257.0
        return Image.fromarray(np.clip(np.rint(deep), 0, 255).astype(np.uint8)).convert(mode)
    if not image.has_transparency_data:
        return image.convert(mode)
    layers = image.convert("RGBA")
    white = Image.new("RGBA", layers.size, "white")
    return Image.alpha_composite(white, layers).convert(mode)
