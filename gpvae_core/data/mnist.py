"""MNIST: IDX files, compressed or not (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import DATASETS, RawData, Source, Split
from gpvae_core.data.files import find_file, missing
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file of bytes with so many dimensions. Raises UserError where it is truncated or of another kind."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' is damaged or truncated ({error}): fetch it again") from None
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise UserError(f"'{path}' is no IDX file of bytes with {dimensions} dimensions: was another file renamed?")
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if len(data) - header != int(np.prod(shape)):
        raise UserError(
            f"'{path}' is truncated: wanted {int(np.prod(shape))} bytes of {shape}, got {len(data) - header}"
        )
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
        """Where each of FILES is, compressed or not; None for one that is not there."""
        return [find_file("mnist", (f"{name}.gz", name)) for name in FILES]

    def read(self) -> RawData:
        paths = self.paths()
        found = [path for path in paths if path is not None]
        if len(found) < len(FILES):
            raise missing("mnist", FILES)
        arrays = [read_idx(path, 3 if "images" in path.name else 1) for path in found]
        splits = []
        for images, labels in (arrays[:2], arrays[2:]):
            if len(images) != len(labels):
                raise UserError(f"MNIST: {len(images)} images but {len(labels)} labels: files of two sets were mixed")
            splits.append(Split(images[:, None], labels.astype(np.int64), levels=255))
        return RawData(splits[0], splits[1], tuple("0123456789"))
