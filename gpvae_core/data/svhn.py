"""SVHN: cropped house numbers as MATLAB files (Netzer et al. 2011)."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.damage import cannot_read, short
from gpvae_core.data.downloads import unpublished_note
from gpvae_core.data.files import find_file, missing
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.reading import DAMAGE, read_bytes, too_large
from gpvae_core.types import EventShape

FILES = ("train_32x32.mat", "test_32x32.mat")
MAX_BYTES = 500_000_000
"""Most bytes of the unpacked content: that of the training images has 225 million."""
_HEADER, _TAG, _COMPRESSED = 128, 8, 15
"""MATLAB's files of level 5: bytes of the header and of a variable's tag, and the tag's type for a compressed one."""


@DATASETS.register("svhn")
class Svhn(Source):
    """SVHN, 73,257 + 26,032 cropped house numbers in colour, 32x32 (.mat files)."""

    shape: EventShape | None = (3, 32, 32)

    @classmethod
    def present(cls) -> bool | None:
        return all(find_file("svhn", (file,)) for file in FILES)

    def read(self) -> RawData:
        paths = [path for path in (find_file("svhn", (file,)) for file in FILES) if path is not None]
        if len(paths) < len(FILES):
            raise missing("svhn", FILES)
        train, test = map(read_mat, paths)
        return RawData(train, test, tuple("0123456789"), note=unpublished_note("svhn", paths))


def read_mat(path: Path) -> Split:
    """Read a .mat file with X (32, 32, 3, N) and y (N, 1), in which the label 10 is the digit 0.

    Raises:
        UserError: the file is damaged or truncated, a shape is wrong, or a label is not from 1 to 10.
    """
    pixels, digits = _variables(path)
    if pixels.shape[:3] != (32, 32, 3) or pixels.ndim != 4 or pixels.dtype != np.uint8:
        raise UserError(f"'{path}': wanted X of bytes (32, 32, 3, N), got {pixels.dtype} {pixels.shape}")
    digits = digits.ravel()
    if len(digits) != pixels.shape[3]:
        raise UserError(f"'{path}': {pixels.shape[3]} images but {len(digits)} labels: damaged, or two sets mixed")
    if len(digits) == 0:
        raise UserError(f"'{path}' holds no image: fetch it again")
    if digits.dtype.kind not in "iu" or digits.min() < 1 or digits.max() > 10:
        raise UserError(f"'{path}' is damaged: wanted whole labels from 1 to 10 (10 for the digit 0)")
    images = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))
    return Split(images, digits.astype(np.int64) % 10, levels=255)


def _variables(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        unpacked = _unpacked(path)
    except OSError as error:
        raise cannot_read(path, error) from None
    try:
        content: dict[str, Any] = loadmat(unpacked, variable_names=("X", "y"))
        pixels, digits = content["X"], content["y"]
    except (MatReadError, *DAMAGE) as error:
        raise UserError(
            f"'{path}' is damaged, truncated or no SVHN .mat file ({short(error)}): fetch it again"
        ) from None
    return np.asarray(pixels), np.asarray(digits)


def _unpacked(path: Path) -> io.BytesIO:
    """Return the file with its variables decompressed, which SciPy does without a limit.

    Raises:
        OSError: it cannot be read, or has more than MAX_BYTES, packed or unpacked.
    """
    data = memoryview(read_bytes(path, MAX_BYTES))
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    out = io.BytesIO()
    out.write(data[:_HEADER])
    start = _HEADER
    while start + _TAG <= len(data):
        kind, count = struct.unpack_from(f"{order}II", data, start)
        end = start + _TAG + count
        if kind == _COMPRESSED:
            decompressor = zlib.decompressobj()
            with suppress(zlib.error):  # a variable that is cut is refused when it is read
                out.write(decompressor.decompress(data[start + _TAG : end], MAX_BYTES + 1 - out.tell()))
        else:
            out.write(data[start:end])
        if out.tell() > MAX_BYTES:
            raise too_large(MAX_BYTES, path)
        start = end
    out.write(data[start:])
    out.seek(0)
    return out
