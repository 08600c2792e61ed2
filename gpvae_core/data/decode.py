"""Decoding of picture files to pixels: checked, upright, centre-cropped and resized."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gpvae_core.data.damage import short
from gpvae_core.data.levels import WHITE_16, check_levels
from gpvae_core.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
WANTED = "PNG, JPEG, BMP, WebP or GIF"
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
MAX_PIXELS = 50_000_000
"""Largest number of pixels of a picture. A small file can claim more pixels than fit into memory."""
BAND = 256
"""Rows that are laid over white at once, as this takes several copies."""
_MODES = {1: "L", 3: "RGB"}
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    zlib.error,
    struct.error,
    OverflowError,
    IndexError,
    KeyError,
    MemoryError,
)


class _Budget:
    """A number that threads share: each takes a part of it, and waits until there is enough."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        share = min(count, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


_IN_FLIGHT = _Budget(MAX_PIXELS)
"""Pixels decoded at the same time: as many as one picture may have, so that memory does not grow with the threads."""


def is_picture(name: str) -> bool:
    """Return whether a file's name has the extension of a picture."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (width, height) from the header. Raises UserError if the data are not a picture."""
    with _open(data, name) as image:
        return image.size


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    pixels: NDArray[np.uint8]
    """(C, H, W) as stored; where the file has 16 bits a channel, scaled so that white is 255."""
    deep: tuple[int, int] | None
    """(smallest, largest) stored value of a file with 16 bits a channel; None of one with fewer."""
    exact: bool
    """Whether all bits were read, so that another value of white can be told: of 16 bits in colour, 8 are read."""
    cropped: float
    """Share of the file's pixels that the crop around the centre left out, in [0, 1)."""
    animated: bool
    """Whether there are more frames than the first, which is read."""


def decode(data: bytes, name: str, channels: int, height: int, width: int, white: int | None = None) -> Picture:
    """Return the first frame of a picture.

    The picture is rotated upright, cropped around its centre to the target's aspect ratio, and resized. Transparent
    parts become white.

    Args:
        name: name of the picture in error messages.
        white: stored value of white; by default WHITE_16 in a file with 16 bits a channel, and else 255.

    Raises:
        UserError: the data are not a supported picture, are truncated or damaged, have too many pixels, or 16 bits a
            channel and a value above `white`.
    """
    image = _open(data, name)
    deep = image.format == "PNG" and data[12:16] == b"IHDR" and data[24:25] == b"\x10"  # Pillow tells it of grey alone
    exact = not deep or image.mode.startswith("I")
    animated = _is_animated(image, data, name)
    with image, _IN_FLIGHT.take(image.width * image.height):
        try:
            span = _span(image, white or WHITE_16, name) if deep else None
            limit = None if deep else white
            pixels, cropped = _fitted(image, _MODES[channels], height, width, white or WHITE_16, limit)
        except UserError:
            raise
        except _DAMAGE as error:
            raise UserError(f"{name} is truncated or damaged ({short(error)}): save or copy it again") from None
        finally:
            image.close()  # its pixels are freed before another picture's share is
    stored = np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))
    return Picture(stored, span, exact, cropped, animated)


def transparent(data: bytes, name: str) -> NDArray[np.bool_]:
    """Return which pixels of a picture, upright, are wholly transparent, (H, W). Raises UserError as `decode`."""
    with _open(data, name) as image, _IN_FLIGHT.take(image.width * image.height):
        if not image.has_transparency_data:
            return np.zeros((image.height, image.width), np.bool_)
        try:
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(image.convert("RGBA").getchannel("A")) == 0
        except _DAMAGE as error:
            raise UserError(f"{name} is truncated or damaged ({short(error)}): save or copy it again") from None


def _span(image: Image.Image, white: int, name: str) -> tuple[int, int]:
    """Return (smallest, largest) value of a picture of 16 bits a channel; bounds of them in colour.

    Raises:
        UserError: a value is above that of white, or the picture is in colour, and white is not WHITE_16.
    """
    ends = np.array(image.getextrema()).reshape(-1, 2)  # those of each channel
    if image.mode.startswith("I"):
        check_levels(ends, white, name)
        return int(ends.min()), int(ends.max())
    if white != WHITE_16:
        raise UserError(
            f"{name} has 16 bits a channel in colour or with transparency, of which 8 are read: scale it to 8 bits "
            f"by its value of white, {white}, and leave that out"
        )
    colours = ends[:3] if image.mode == "RGBA" else ends
    return 256 * int(colours.min()), 256 * int(colours.max()) + 255


def _fitted(
    image: Image.Image, mode: str, height: int, width: int, white: int, limit: int | None
) -> tuple[NDArray[np.uint8], float]:
    """Return (pixels, share of the picture that was cropped).

    Pixels are at most `limit` where no stored value is above it: at edges the filter overshoots.
    """
    ImageOps.exif_transpose(image, in_place=True)  # NOTE: otherwise it copies, also where nothing is turned
    upright = _centre_crop(_opaque(image, mode, white), width / height)
    cropped = 1.0 - upright.width * upright.height / (image.width * image.height)
    pixels = np.array(upright.resize((width, height), Image.Resampling.LANCZOS))
    if limit is None or np.max(upright.getextrema()) > limit:  # too large ones are refused by who told the limit
        return pixels, cropped
    return np.minimum(pixels, min(limit, 255)), cropped


def _open(data: bytes, name: str) -> Image.Image:
    if not data:
        raise UserError(f"{name} is empty: wanted a picture ({WANTED})")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise _too_many(name) from None
    except _DAMAGE:
        raise UserError(f"{name} is not a picture that can be read, or is truncated: wanted {WANTED}") from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_many(name)
    return image


def _is_animated(image: Image.Image, data: bytes, name: str) -> bool:
    """Return whether a picture has more than one frame; those of a JPEG are previews and maps of the one picture."""
    if image.format != "GIF":
        return image.format != "MPO" and getattr(image, "is_animated", False)
    # NOTE: a GIF tells it by going to its second frame and back, so that another reader is asked.
    with _open(data, name) as other:
        try:
            return getattr(other, "is_animated", False)
        except _DAMAGE:
            return False


def _too_many(name: str) -> UserError:
    return UserError(f"{name} has too many pixels: wanted at most {MAX_PIXELS // 1_000_000} million; make it smaller")


def _centre_crop(image: Image.Image, aspect: float) -> Image.Image:
    """Return the largest central part with this ratio of width to height."""
    # Crop before resizing: the resampling filter would otherwise mix in pixels from outside of the crop.
    width = max(1, min(image.width, round(image.height * aspect)))
    height = max(1, min(image.height, round(image.width / aspect)))
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _opaque(image: Image.Image, mode: str, white: int) -> Image.Image:
    """Return the picture in `mode`, over white where it is transparent; 16-bit grey with `white` as 255."""
    if image.mode.startswith("I"):  # NOTE: Pillow's `convert` clips 16-bit grey to 255; scale it to 8 bits instead
        eight_bits = np.rint(np.minimum(np.arange(WHITE_16 + 1) * 255.0 / white, 255.0)).astype(np.uint8)
        return Image.fromarray(eight_bits[np.clip(np.asarray(image), 0, WHITE_16)]).convert(mode)
    if not image.has_transparency_data:
        return image if image.mode == mode else image.convert(mode)
    opaque = Image.new(mode, image.size)
    for top in range(0, image.height, BAND):
        layers = image.crop((0, top, image.width, min(top + BAND, image.height))).convert("RGBA")
        ground = Image.new("RGBA", layers.size, "white")
        opaque.paste(Image.alpha_composite(ground, layers).convert(mode), (0, top))
    return opaque
