"""Some eighty files that were made to hang a reader, to fill its memory or to end it in a stack trace."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tests.data.makers import encode, idx, write_tree, write_zip

Case: TypeAlias = Callable[[Path], str]
"""Writes into a new folder, and returns the name of the data set."""
GB = 1 << 30
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
PNG = encode(NOISE[:8, :8, 0])


def zeros(size: int) -> bytes:
    """A raw deflate stream of so many zeros, a multiple of 64 MiB: one compressed piece again and again."""
    packer = zlib.compressobj(wbits=-15)
    piece = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (size // (64 << 20)) + b"\3\0"


def packed(path: Path, name: str, stream: bytes, stated: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    """A zip of one member with this compressed stream, which states another size."""
    common = struct.pack("<HHHHHLLLHH", 20, 0, method, 0, 33, 0, len(stream), stated, len(name), 0)
    head = b"PK\3\4" + common + name.encode()
    entry = b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), len(head) + len(stream), 0)
    path.write_bytes(head + stream + entry + end)


def header(shape: str, kind: str = "'|u1'") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


def whole_npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


X = NOISE[:30, :, 0].reshape(30, 8, 8)
F = X / 255.0


def array(write: Callable[[Path], object]) -> Case:
    def case(folder: Path) -> str:
        write(folder / "a.npz")
        return f"array:{folder / 'a.npz'}"

    return case


def file_of(content: bytes, kind: str = "array") -> Case:
    def case(folder: Path) -> str:
        (folder / "a.npz").write_bytes(content)
        return f"{kind}:{folder / 'a.npz'}"

    return case


def npy(shape: str, kind: str = "'|u1'", data: bytes = b"1234") -> Case:
    return array(lambda path: write_zip(path, {"images.npy": header(shape, kind) + data}))


def bomb_of_zeros(path: Path) -> None:
    size = 7 * 64 * (16 << 20)  # 7 GB, with the header
    packer = zlib.compressobj(wbits=-15)
    start = packer.compress(header(f"({size >> 6}, 8, 8)")) + packer.flush(zlib.Z_FULL_FLUSH)
    packed(path, "images.npy", start + zeros(size), 128 + size & 0xFFFFFFFF)


def huge_listing(path: Path) -> None:
    with path.open("wb") as file:
        file.seek(3 * GB)  # a hole, which takes no place on the disk
        file.write(b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, 3 * GB - 100, 100, 0))


def many_members(path: Path) -> None:
    entry = b"PK\1\2" + struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    path.write_bytes(entry * 1_400_000 + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 65535, 65535, 47 * 1_400_000, 0, 0))


def compressed(path: Path, name: str, method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, whole_npz(images=X) if name == "a" else header("(30, 8, 8)") + X.tobytes())


def pictures(odd: dict[str, bytes], zipped: bool = False) -> Case:
    """A folder or zip of good pictures with some odd ones."""

    def case(folder: Path) -> str:
        files = {f"a/{i}.png": PNG for i in range(5)} | odd
        return f"images:{(write_zip if zipped else write_tree)(folder / 'set', files)}"

    return case


def table(write: Callable[[Path], object], name: str = "t.csv") -> Case:
    def case(folder: Path) -> str:
        write_tree(folder, {f"{i}.png": PNG for i in range(5)})
        write(folder / name)
        return f"table:{folder / name}"

    return case


def rows(*odd: str) -> Case:
    """A table of five pictures and odd rows."""
    text = "\n".join(["file,time", *(f"{i}.png,{i}.5" for i in range(5)), *odd])
    return table(lambda path: path.write_text(text))


def text_of(text: str) -> Case:
    return table(lambda path: path.write_text(text))


def hole_of_3_gb(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 * GB)


def piped_row(path: Path) -> None:
    os.mkfifo(path.parent / "odd.png")
    path.write_text("file,time\nodd.png,1\n0.png,2\n")


def linked(target: str) -> Case:
    def case(folder: Path) -> str:
        name = pictures({})(folder)
        (folder / "set" / "a" / "odd.png").symlink_to(target)
        return name

    return case


def member(write: Callable[[Path], object]) -> Case:
    def case(folder: Path) -> str:
        write(folder / "a.zip")
        return f"images:{folder / 'a.zip'}"

    return case


def piped_picture(folder: Path) -> str:
    name = pictures({})(folder)
    os.mkfifo(folder / "set" / "a" / "odd.png")
    return name


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claiming(width: int, height: int, depth: int = 8, colour: int = 0, data: bytes = b"0") -> bytes:
    """A PNG of another size than its header states."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def published(name: str, files: dict[str, bytes]) -> Case:
    """Files of a published data set, in a folder that is then GPVAE_DATA_DIR."""

    def case(folder: Path) -> str:
        write_tree(folder, files)
        return name

    return case


def mnist(**odd: bytes) -> Case:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    images, labels = idx(np.zeros((9, 28, 28))), idx(np.zeros(9))
    files = dict(zip(names, (images, labels) * 2, strict=True))
    changed = {name.replace("_", "-"): content for name, content in odd.items()}
    first = {"t10k-images-idx3-ubyte.gz": changed["gz"]} if "gz" in changed else {}
    return published("mnist", files | first | {k: v for k, v in changed.items() if k != "gz"})


def piped_mnist(folder: Path) -> str:
    name = mnist()(folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    os.mkfifo(folder / "t10k-labels-idx1-ubyte")
    return name


def gzipped(stream: bytes) -> bytes:
    return b"\x1f\x8b\x08\0\0\0\0\0\0\3" + stream + bytes(8)


def pax_of_four_gigabytes() -> bytes:
    """A tar whose first header states 4 GB of comments, and has them."""
    head = bytearray(512)
    head[:4], head[100:108], head[124:136], head[156:157] = b"long", b"0000644\0", b"40000000000\0", b"x"
    head[257:263], head[148:156] = b"ustar\0", b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    packer = zlib.compressobj(wbits=-15)
    return gzipped(packer.compress(bytes(head)) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(4 * GB))


def mat_of_zeros() -> bytes:
    packer = zlib.compressobj()
    piece = b"".join(packer.compress(bytes(64 << 20)) for _ in range(16)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return head + struct.pack("<II", 15, len(piece)) + piece


CASES: dict[str, Case] = {
    "array: pipe": array(os.mkfifo),
    "array: endless device": array(lambda path: path.symlink_to("/dev/zero")),
    "array: link to nowhere": array(lambda path: path.symlink_to("nowhere")),
    "array: link to itself": array(lambda path: path.symlink_to(path)),
    "array: folder": array(Path.mkdir),
    "array: empty": file_of(b""),
    "array: noise": file_of(NOISE.tobytes()),
    "array: cut at the start": file_of(whole_npz(images=X)[:20]),
    "array: cut in the middle": file_of(whole_npz(images=X)[:1000]),
    "array: cut at the end": file_of(whole_npz(images=X)[:-10]),
    "array: plain array": file_of(header("(30, 8, 8)") + X.tobytes()),
    "array: shape of 10^30": npy(f"({10**30}, 8, 8)"),
    "array: shape of 2^64": npy(f"({2**32}, {2**32})"),
    "array: negative shape": npy("(-4, 8, 8)"),
    "array: text of 2 GB": npy("(1,)", "'|S2000000000'"),
    "array: unknown type": npy("(4,)", "'nonsense'"),
    "array: deep header": npy("(" * 90),
    "array: no data": npy("(10000000, 8, 8)"),
    "array: Python objects": npy("(4,)", "'|O'"),
    "array: 7 GB of zeros that state 3": array(bomb_of_zeros),
    "array: bzip2": array(lambda path: compressed(path, "images.npy", zipfile.ZIP_BZIP2)),
    "array: LZMA": array(lambda path: compressed(path, "images.npy", zipfile.ZIP_LZMA)),
    "array: list of 3 GB": array(huge_listing),
    "array: a million members": array(many_members),
    "array: complex numbers": file_of(whole_npz(images=X * 1j)),
    "array: NaN": file_of(whole_npz(images=F * np.nan)),
    "array: infinity": file_of(whole_npz(images=F + np.inf)),
    "array: negative": file_of(whole_npz(images=F - 1)),
    "array: no images": file_of(whole_npz(images=X[:0])),
    "array: two channels": file_of(whole_npz(images=np.stack([X, X], -1))),
    "array: other labels": file_of(whole_npz(images=X, labels=np.zeros(7, int))),
    "images: pipe": member(os.mkfifo),
    "images: endless device": member(lambda path: path.symlink_to("/dev/zero")),
    "images: noise": file_of(NOISE.tobytes(), "images"),
    "images: list of 3 GB": member(huge_listing),
    "images: a million members": member(many_members),
    "images: piped picture": piped_picture,
    "images: picture of a device": linked("/dev/zero"),
    "images: picture of nothing": linked("nowhere"),
    "images: picture of itself": linked("odd.png"),
    "images: empty folder": lambda folder: f"images:{folder}",
    "images: empty picture": pictures({"a/odd.png": b""}),
    "images: noise as picture": pictures({"a/odd.gif": NOISE.tobytes()}),
    "images: cut picture": pictures({"a/odd.jpg": encode(NOISE, "JPEG")[:-300]}),
    "images: 3.6 gigapixels": pictures({"a/odd.png": claiming(60_000, 60_000)}),
    "images: 49 megapixels of nothing": pictures({"a/odd.png": claiming(7000, 7000)}),
    "images: 49 deep megapixels": pictures({f"a/odd{i}.png": claiming(7000, 7000, 16) for i in range(8)}),
    "images: 49 clear megapixels": pictures({f"a/odd{i}.png": claiming(7000, 7000, 8, 6) for i in range(8)}),
    "images: large GIF": pictures({"a/odd.gif": b"GIF89a\xff\xff\xff\xff\0\0\0;"}),
    "images: large BMP": pictures(
        {"a/odd.bmp": b"BM" + struct.pack("<IHHIIiiHH", 99, 0, 0, 54, 40, 65535, -65535, 1, 32)}
    ),
    "images: member of 2 GB": member(lambda path: packed(path, "a.png", zeros(2 * GB), 2 * GB)),
    "images: member that lies": member(lambda path: packed(path, "a.png", zeros(3 * GB), 1000)),
    "images: member in bzip2": member(lambda path: compressed(path, "a.png", zipfile.ZIP_BZIP2)),
    "images: unknown compression": member(lambda path: packed(path, "a.png", PNG, len(PNG), 77)),
    "table: pipe": table(os.mkfifo),
    "table: endless device": table(lambda path: path.symlink_to("/dev/zero")),
    "table: noise": table(lambda path: path.write_bytes(NOISE.tobytes())),
    "table: 3 GB": table(hole_of_3_gb),
    "table: many cells": text_of("," * (15 << 20)),
    "table: many rows": text_of("file,time\n" + "0.png,0\n" * 1_500_000 + "none.png,0\n"),
    "table: many columns": text_of(",".join(f"a{i}" for i in range(200_000)) + "\n0.png"),
    "table: one long cell": rows("a" * (15 << 20) + ",1"),
    "table: open quote": rows('"' + "a," * 60_000),
    "table: picture of a device": rows("/dev/zero,1"),
    "table: picture of another folder": rows("../../../../etc/hostname,1"),
    "table: piped picture": table(piped_row),
    "table: null character": rows("a\0.png,1"),
    "table: 7 GB of zeros": table(bomb_of_zeros, "t.npz"),
    "table: Python objects": table(lambda path: write_zip(path, {"images.npy": header("(4,)", "'|O'")}), "t.npz"),
    "table: no Parquet": table(lambda path: path.write_bytes(b"PAR1" + NOISE.tobytes() + b"PAR1"), "t.parquet"),
    "mnist: shape of 2^64": mnist(t10k_images_idx3_ubyte=bytes((0, 0, 8, 3)) + b"\x80\0\0\0" * 2 + b"\0\0\0\4"),
    "mnist: 4 GB of zeros": mnist(gz=gzipped(zeros(4 * GB))),
    "mnist: cut": mnist(gz=gzip.compress(idx(np.zeros((9, 28, 28))))[:-9]),
    "mnist: pipe": piped_mnist,
    "cifar10: 4 GB of comments": published("cifar10", {"cifar-10-binary.tar.gz": pax_of_four_gigabytes()}),
    "svhn: 1 GB of zeros": published("svhn", dict.fromkeys(("train_32x32.mat", "test_32x32.mat"), mat_of_zeros())),
}
