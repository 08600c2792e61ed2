"""MNIST: IDX files, optionally compressed (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.damage import cannot_read, short
from gpvae_core.data.downloads import unpublished_note
from gpvae_core.data.files import find_file, missing
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.reading import open_regular, read_stream
from gpvae_core.types import EventShape

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MAX_BYTES = 600_000_000
"""Most bytes of a file: MNIST has 47 million, and its relatives of 28x28 images have up to 550 million."""


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes with this number of dimensions. Raises UserError if it is truncated or another file."""
    try:
        with open_regular(path) as file:
            data = read_stream(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, MAX_BYTES, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' is damaged or truncated ({short(error)}): fetch it again") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    # IDX: two zero bytes, the type (8: unsigned byte), the number of dimensions, then each size as big-endian int32.
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise UserError(f"'{path}' is not an IDX file of bytes with {dimensions} dimensions: was another file renamed?")
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if len(data) - header != math.prod(shape):
        raise UserError(f"'{path}' is truncated: wanted {math.prod(shape)} bytes of {shape}, got {len(data) - header}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()


@DATASETS.register("mnist")
class Mnist(Source):
    """MNIST, 60,000 + 10,000 handwritten digits, 28x28 (IDX files)."""

    shape: EventShape | None = (1, 28, 28)

    @classmethod
    def present(cls) -> bool | None:
        return all(cls.paths())

    @staticmethod
    def paths() -> list[Path | None]:
        """Return the path of each of FILES, compressed or not; None for a missing one."""
        return [find_file("mnist", (f"{name}.gz", name)) for name in FILES]

    def read(self) -> RawData:
        paths = self.paths()
        present = [path for path in paths if path is not None]
        if len(present) < len(FILES):
            raise missing("mnist", FILES)
        train, test = _part(*present[:2]), _part(*present[2:])
        return RawData(train, test, tuple("0123456789"), note=unpublished_note("mnist", present))


def _part(images_path: Path, labels_path: Path) -> Split:
    """Return images and labels of two files. Raises UserError if they are not MNIST's or do not belong together."""
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) == 0 or images.shape[1:] != (28, 28):
        raise UserError(f"'{images_path}': wanted N > 0 images (N, 28, 28), got {images.shape}; is it MNIST's?")
    if len(images) != len(labels):
        raise UserError(
            f"MNIST: {len(images)} images but {len(labels)} labels: '{images_path.name}' and '{labels_path.name}' "
            "are of two sets, or one is cut"
        )
    if (largest := int(labels.max())) > 9:
        raise UserError(f"'{labels_path}': wanted labels from 0 to 9, got {largest}; is it MNIST's?")
    return Split(images[:, None], labels.astype(np.int64), levels=255)
