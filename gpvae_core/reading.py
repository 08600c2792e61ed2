"""Bounded reading of files that users or other programs have written: no file can hang the reader or fill the memory.

Only regular files are read: a pipe would be waited for, and a device can be endless. What is read is limited by what
comes, not by what a header states; compressed content is decompressed in pieces. A refusal is an OSError whose
`strerror` says what was wanted, so that callers report it as any other refusal of the system.
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import numpy as np
from numpy.lib import format as npy

MOST_TEXT = 16 << 20
"""Most bytes of a text, such as TOML or JSON: parsed, it takes up to 40 times as much memory."""
MOST_LISTING = 32 << 20
"""Most bytes of a zip's list of members, 50 to 150 for each: half a million members take zipfile some seconds."""
PIECE = 1 << 16
"""Bytes read at once."""
SMALL_ARRAYS = 256 << 20
MOST_TIMES = 200
"""Arrays of an .npz of more than SMALL_ARRAYS bytes have at most MOST_TIMES the file's own size."""
MOST_UNPACKED = 1 << 30
"""Most bytes of the compressed arrays of an .npz; those that are not compressed take as much place in the file."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    SyntaxError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
"""Errors of readers of damaged archives and arrays."""
_KINDS = {stat.S_IFIFO: "pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "device", stat.S_IFSOCK: "socket"}


class Stream(Protocol):
    """What can be read in pieces: a file, a .gz, a member of a zip."""

    def read(self, size: int, /) -> bytes: ...


def check_regular(path: Path) -> None:
    """Check that a file is a regular one, for libraries that open it themselves.

    Raises:
        OSError: it is a pipe, a device or a socket, does not exist, or may not be looked at.
    """
    _check_kind(path.stat().st_mode, path)


def _check_kind(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "special file")
        raise OSError(errno.EINVAL, f"it is a {kind}: wanted a regular file", str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file. Raises OSError as `check_regular`, or if it may not be read."""
    check_regular(path)  # before it is opened, as opening a device can have effects
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    try:
        _check_kind(os.fstat(file.fileno()).st_mode, path)  # it can have been replaced meanwhile
    except OSError:
        file.close()
        raise
    return file


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file. Raises OSError as `open_regular`, or if it has more than `most` bytes."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise too_large(most, path)
        return read_stream(file, most, path)


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Return a text in UTF-8. Raises OSError as `read_bytes`, and UnicodeDecodeError if it is none."""
    return read_bytes(path, most).decode()


def read_stream(stream: Stream, most: int, path: Path) -> bytes:
    """Return all that is left of a stream.

    Args:
        path: the file, for the error.

    Raises:
        OSError: it has more than `most` bytes. The errors of the stream pass.
    """
    content, count = io.BytesIO(), 0
    while part := stream.read(PIECE):
        count += len(part)
        if count > most:
            raise too_large(most, path)
        content.write(part)
    return content.getvalue()


def too_large(most: int, path: Path) -> OSError:
    """Return the error for a file of more than `most` bytes."""
    return OSError(errno.EFBIG, f"it is too large: wanted at most {most / 1e6:.0f} MB", str(path))


class _ShortReads:
    """A file that refuses to be read in one long piece, as zipfile reads a list of members of any stated length."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self._read = file.seek, file.tell, file.seekable, file.read

    def read(self, size: int = -1) -> bytes:
        if size > MOST_LISTING:
            raise OSError(errno.EFBIG, "it lists too many members, or is damaged: unpack it into a folder")
        return self._read(size)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip. Raises OSError as `open_regular`, and one of DAMAGE if it is none or damaged."""
    with open_regular(path) as file, zipfile.ZipFile(_ShortReads(file)) as archive:  # pyright: ignore[reportArgumentType]
        yield archive


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    """Return the bytes of a zip's member, however many it states.

    Raises:
        OSError: it has more than `most` bytes, or is compressed by another method than deflate.
        BadZipFile: it is damaged; so are others of DAMAGE.
    """
    if info.file_size > most:
        raise too_large(most, path)
    with _open_member(archive, info) as member:
        return read_stream(member, most, path)


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    # NOTE: zipfile decompresses bzip2 and LZMA without a limit, and a kilobyte of bzip2 can be a gigabyte of zeros.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise OSError(errno.EINVAL, "it is compressed by another method than deflate: pack it again")
    return archive.open(info)


def array_names(path: Path) -> list[str]:
    """Return the sorted names of the arrays, and of any other members, of an .npz. Raises as `open_zip`."""
    with open_zip(path) as archive:
        return sorted(_arrays_of(archive))


def _arrays_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def read_arrays(path: Path, most: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz, of all or of those names that it has. No pickle.

    Raises:
        OSError: as `open_regular`; or the arrays have more than `most` bytes, or more than SMALL_ARRAYS bytes and
            MOST_TIMES those of the file; or the compressed ones have more than MOST_UNPACKED bytes.
        ValueError: an array has another size than its header states, or holds Python objects; so are others of DAMAGE.
    """
    with open_zip(path) as archive:
        members = _arrays_of(archive)
        wanted = {name: info for name, info in members.items() if names is None or name in names}
        stated, size = sum(info.file_size for info in wanted.values()), path.stat().st_size
        if stated > most:
            raise too_large(most, path)
        if stated > max(SMALL_ARRAYS, MOST_TIMES * size):
            times = f"{stated / 1e6:.0f} MB of arrays in {size / 1e6:.1f} MB"
            raise OSError(errno.EFBIG, f"{times}: wanted at most {MOST_TIMES} times its size", str(path))
        unpacked = sum(info.file_size for info in wanted.values() if info.compress_type != zipfile.ZIP_STORED)
        if unpacked > MOST_UNPACKED:
            sizes = f"{unpacked / 1e6:.0f} MB of compressed arrays: wanted at most {MOST_UNPACKED / 1e6:.0f} MB"
            raise OSError(errno.EFBIG, f"{sizes}; save them without compression (numpy.savez)", str(path))
        return {name: _read_array(archive, info) for name, info in wanted.items()}


def read_rows(path: Path, name: str) -> Iterator[np.ndarray]:
    """Yield the rows of an array of an .npz, along its first axis; only one is in memory. No pickle.

    Raises:
        OSError: as `open_regular`, or a row has more than SMALL_ARRAYS bytes.
        ValueError: the array has another size than its header states, holds Python objects or is stored column by
            column; so are others of DAMAGE.
    """
    with open_zip(path) as archive:
        info = _arrays_of(archive)[name]
        with _open_member(archive, info) as member:
            (count, *shape), by_columns, dtype = _read_header(member, info)
            if dtype.hasobject or by_columns:
                raise ValueError("an array of Python objects, or one that is stored column by column")
            size = math.prod(shape) * dtype.itemsize
            if size > SMALL_ARRAYS:
                raise too_large(SMALL_ARRAYS, path)
            if not size:  # of which there can be any number
                raise ValueError("an array whose rows are empty")
            for _ in range(count):
                yield np.frombuffer(member.read(size), dtype).reshape(shape)
            member.read(1)  # NOTE: the checksum is compared at the end, which is only seen by reading on


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with _open_member(archive, info) as member:
        _, _, dtype = _read_header(member, info)
    if dtype.hasobject:
        name = info.filename.removesuffix(".npy")
        raise ValueError(f"array '{name}' holds Python objects: save texts as array.astype(str)")
    with _open_member(archive, info) as member:
        return npy.read_array(member, allow_pickle=False)


def _read_header(member: IO[bytes], info: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return (shape, whether it is stored column by column, type). Raises ValueError if the size does not fit them."""
    version = npy.read_magic(member)
    shape, by_columns, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(member)
    # NOTE: numpy believes a header's shape, which can be of any size, and allocates it before it reads.
    fits = math.prod(shape) * dtype.itemsize == info.file_size - member.tell() and min(shape, default=0) >= 0
    if not dtype.hasobject and not fits:
        raise ValueError(f"an array of shape {str(shape)[:40]} does not fit its {info.file_size} bytes")
    return shape, by_columns, dtype
