"""Writers of small files in the true formats, and short ways to read them."""

from __future__ import annotations

import errno
import gzip
import io
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from gpvae_core.data import cifar10, mnist
from gpvae_core.data.base import DataConfig, Dataset, RawData, load, source_of

Digits: TypeAlias = tuple[np.ndarray, np.ndarray]


def read(name: str, **settings: Any) -> RawData:
    """The partition as the source reads it."""
    return source_of(DataConfig(name=name, **settings)).read()


def load_set(name: str, **settings: Any) -> Dataset:
    """The data set with its validation images."""
    return load(DataConfig(name=name, **settings))


def encode(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """A picture file of (H, W) or (H, W, 3) bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, (H, W), or (H, W, C) with C of 2 (grey, opacity), 3, or 4 (colours, opacity)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {2: 0, 3: {2: 4, 3: 2, 4: 6}.get(values.shape[-1], 0)}[values.ndim]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def lock(monkeypatch: pytest.MonkeyPatch, locked: Path) -> None:
    """Opening this file, or listing this folder, is not permitted: also to root, whom its mode does not stop."""

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(path, str | Path) and Path(path) == locked:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(path, *rest, **options)

        return call

    for where in ("builtins.open", "io.open", "os.scandir"):
        module, name = where.split(".")
        monkeypatch.setattr(where, guarded(getattr(sys.modules[module], name)))


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size) by repeating pixels, the rest black."""
    times = size // images.shape[-1]
    large = np.zeros((len(images), size, size), np.uint8)
    side = times * images.shape[-1]
    large[:, :side, :side] = images.repeat(times, 1).repeat(times, 2)
    return large


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tree(root: Path, members: Mapping[str, bytes]) -> Path:
    for name, data in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    head = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, digits: Digits, packed: bool = True) -> dict[str, Path]:
    """100 training and 40 test images, 28x28."""
    images, labels = enlarge(digits[0], 28), digits[1]
    contents = (images[:100], labels[:100], images[100:140], labels[100:140])
    paths = {}
    for name, array in zip(mnist.FILES, contents, strict=True):
        paths[name] = folder / (f"{name}.gz" if packed else name)
        paths[name].write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return paths


def cifar_files(digits: Digits, records: int) -> dict[str, bytes]:
    """Six files of so many records: a digit in red, its complement in green, black in blue."""
    images, labels = enlarge(digits[0][: 6 * records], 32), digits[1]
    colours = np.stack([images, 255 - images, np.zeros_like(images)], 1).reshape(len(images), -1)
    rows = np.concatenate([labels[: len(images), None], colours], 1).astype(np.uint8)
    names = cifar10.TRAIN + cifar10.TEST
    return {name: rows[i * records : (i + 1) * records].tobytes() for i, name in enumerate(names)}


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_svhn(folder: Path, digits: Digits) -> None:
    """60 training and 20 test images; the digit 0 is written 10."""
    for name, part in (("train_32x32.mat", slice(0, 60)), ("test_32x32.mat", slice(60, 80))):
        images = enlarge(digits[0][part], 32)
        x = np.stack([images, 255 - images, np.zeros_like(images)], 1).transpose(2, 3, 1, 0)
        y = np.where(digits[1][part] == 0, 10, digits[1][part]).astype(np.uint8)[:, None]
        savemat(folder / name, {"X": x, "y": y}, do_compression=True)


def drawings(digits: Digits, root: str, alphabets: Mapping[str, int], start: int = 0) -> dict[str, bytes]:
    """Members of an OMNIGLOT zip: black ink on white, 105x105, 1 bit; two characters an alphabet, so many times."""
    members: dict[str, bytes] = {}
    for alphabet, drawers in alphabets.items():
        for character in (1, 2):
            for drawer in range(drawers):
                ink = enlarge(digits[0][start : start + 1], 105)[0] > 100
                name = f"{root}/{alphabet}/character{character:02d}/{character:04d}_{drawer + 1:02d}.png"
                members[name] = encode(~ink)
                start += 1
    return members


def members(digits: Digits, count: int, root: str = "", size: int = 8) -> dict[str, bytes]:
    """The first digits as PNG files, one folder a class."""
    images = enlarge(digits[0][:count], size)
    return {f"{root}{digits[1][i]}/{i:04d}.png": encode(images[i]) for i in range(count)}


def save(path: Path, **arrays: Any) -> str:
    """Write arrays to an .npz file, and return its name as a data set."""
    np.savez(path, **arrays)
    return f"array:{path}"
