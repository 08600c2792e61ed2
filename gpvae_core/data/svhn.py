"""SVHN: cropped house numbers as MATLAB files (Netzer et al. 2011)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.damage import check_readable, short
from gpvae_core.data.downloads import unpublished_note
from gpvae_core.data.files import find_file, missing
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape

FILES = ("train_32x32.mat", "test_32x32.mat")
_DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError)


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

    check_readable(path)
    try:
        content: dict[str, Any] = loadmat(path, variable_names=("X", "y"))
        pixels, digits = content["X"], content["y"]
    except (MatReadError, *_DAMAGE, zlib.error, NotImplementedError) as error:
        raise UserError(
            f"'{path}' is damaged, truncated or no SVHN .mat file ({short(error)}): fetch it again"
        ) from None
    return np.asarray(pixels), np.asarray(digits)
