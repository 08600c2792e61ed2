"""CIFAR-10, binary version: records of a label and 3,072 pixels, in a tar.gz or unpacked (Krizhevsky 2009)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.damage import cannot_read, short
from gpvae_core.data.downloads import unpublished_note
from gpvae_core.data.files import find_file, missing
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.reading import open_regular, read_stream
from gpvae_core.types import EventShape

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORDS = 10_000
"""Number of records in each file."""
MAX_BYTES = 400_000_000
"""Most bytes of the unpacked archive, which has 184 million."""
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS


@DATASETS.register("cifar10")
class Cifar10(Source):
    """CIFAR-10, 50,000 + 10,000 colour images, 32x32 (binary version)."""

    shape: EventShape | None = (3, 32, 32)

    @classmethod
    def present(cls) -> bool | None:
        return find_file("cifar10", (ARCHIVE,)) is not None or all(map(_unpacked, TRAIN + TEST))

    def read(self) -> RawData:
        paths = {name: path for name in TRAIN + TEST if (path := _unpacked(name)) is not None}
        note = ""  # of the unpacked files no checksums are published
        if len(paths) == len(TRAIN + TEST):
            files = {name: _content(path) for name, path in paths.items()}
        elif archive := find_file("cifar10", (ARCHIVE,)):
            files, note = _members(archive), unpublished_note("cifar10", [archive])
        else:
            raise missing("cifar10", (ARCHIVE,))
        return RawData(_split(files, TRAIN), _split(files, TEST), CLASSES, note=note)


def _unpacked(name: str) -> Path | None:
    return find_file("cifar10", (f"{FOLDER}/{name}", name))


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(RECORDS * _RECORD + 1)  # one byte more reveals a file that is too long
    except OSError as error:
        raise cannot_read(path, error) from None


def _members(archive: Path) -> dict[str, bytes]:
    """Return the content of the record files in the tar.gz, by name."""
    files: dict[str, bytes] = {}
    try:
        with open_regular(archive) as packed:
            content = io.BytesIO(read_stream(gzip.GzipFile(fileobj=packed), MAX_BYTES, archive))
        with tarfile.open(fileobj=content, mode="r:") as tar:
            for member in tar:
                name = Path(member.name).name
                file = tar.extractfile(member) if member.isfile() and name in TRAIN + TEST else None
                if file is not None:
                    files[name] = file.read(RECORDS * _RECORD + 1)  # one byte more reveals a file that is too long
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"'{archive}' is damaged or truncated ({short(error)}): fetch it again") from None
    except OSError as error:
        raise cannot_read(archive, error) from None
    if lacking := [name for name in TRAIN + TEST if name not in files]:
        raise UserError(f"'{archive}' lacks {', '.join(lacking)}: is it the binary version, and complete?")
    return files


def _split(files: dict[str, bytes], names: Sequence[str]) -> Split:
    records = np.concatenate([_records(files[name], name) for name in names])
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32)
    return Split(images, records[:, 0].astype(np.int64), levels=255)


def _records(data: bytes, name: str) -> np.ndarray:
    """Return one row per record: the label, then the pixels by channel. Raises UserError if the data are damaged."""
    if len(data) != RECORDS * _RECORD:
        raise UserError(
            f"CIFAR-10's {name} is truncated or another file: wanted {RECORDS} records of {_RECORD} bytes, "
            f"got {len(data) / _RECORD:.1f}"
        )
    records = np.frombuffer(data, np.uint8).reshape(RECORDS, _RECORD)
    if (largest := int(records[:, 0].max())) >= len(CLASSES):
        raise UserError(f"CIFAR-10's {name} is damaged: wanted labels from 0 to 9, got {largest}; is it CIFAR-100?")
    return records
