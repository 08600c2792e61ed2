"""Files that are not ours to trust: what hangs, never ends, lies about its size or unpacks to far more is one line."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core import reading
from gpvae_core.reading import (
    DAMAGE,
    open_regular,
    open_zip,
    read_arrays,
    read_bytes,
    read_member,
    read_rows,
    read_text,
)

MB = 1 << 20


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link_to(target: str) -> Callable[[Path], Path]:
    def link(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return link


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (pipe, "it is a pipe: wanted a regular file"),
        (link_to("/dev/zero"), "it is a device: wanted a regular file"),
        (folder, "Is a directory"),
        (link_to("nowhere"), "No such file or directory"),
    ],
)
def test_only_regular_files_are_read(tmp_path: Path, make: Callable[[Path], Path], reason: str) -> None:
    path = make(tmp_path / "a")
    for read in (open_regular, read_text, lambda path: read_arrays(path, MB), lambda path: open_zip(path).__enter__()):
        with pytest.raises(OSError, match=reason) as error:
            read(path)
        assert (error.value.strerror, error.value.filename) == (reason, str(path))


def test_a_file_replaced_by_a_pipe_between_look_and_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pipe(tmp_path / "a")
    monkeypatch.setattr(reading, "check_regular", lambda path: None)
    with pytest.raises(OSError, match="it is a pipe"):
        open_regular(path)


def test_as_many_bytes_as_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert read_bytes(tmp_path / "a", 100_000) == b"x" * 100_000
    with pytest.raises(OSError, match="it is too large: wanted at most 0 MB") as error:
        read_bytes(tmp_path / "a", 99_999)
    assert error.value.errno == errno.EFBIG


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs a file that states no size")
def test_the_size_that_a_file_states_is_not_believed() -> None:
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(OSError, match="it is too large"):
        read_bytes(Path("/proc/self/maps"), 10)


def write_member(path: Path, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a", data)
    return path


def lying(path: Path, data: bytes, stated: int) -> Path:
    """A zip whose list of members states another size than the member has."""
    write_member(path, data)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<L", stated)
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_whole_or_not_at_all(tmp_path: Path, compression: int) -> None:
    data = np.random.default_rng(0).bytes(300_000) + bytes(300_000)
    path = write_member(tmp_path / "a.zip", data, compression)
    with open_zip(path) as archive:
        (info,) = archive.infolist()
        assert read_member(archive, info, len(data), path) == data
        with pytest.raises(OSError, match="it is too large"):
            read_member(archive, info, len(data) - 1, path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_zipfile_cannot_read_in_pieces(tmp_path: Path, compression: int) -> None:
    path = write_member(tmp_path / "a.zip", bytes(100), compression)
    with open_zip(path) as archive, pytest.raises(OSError, match="by another method than deflate"):
        read_member(archive, archive.infolist()[0], 1000, path)


def in_a_child(code: str, megabytes: int) -> str:
    """What the code prints in a process whose memory is limited, above what it has after the imports."""
    lines = f"""
import resource
from pathlib import Path
from gpvae_core import reading
from gpvae_core.reading import *
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + {megabytes} * 2**20,) * 2)
try:
    {code}
except DAMAGE as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs a limit on a process's memory")
def test_a_member_that_states_a_small_size_fills_no_memory(tmp_path: Path) -> None:
    path = lying(tmp_path / "a.zip", bytes(400 * MB), 1000)
    assert path.stat().st_size < MB
    read = f"with open_zip(Path({str(path)!r})) as a: read_member(a, a.infolist()[0], 10**6, Path('a'))"
    assert in_a_child(read, 64).startswith("BadZipFile Bad CRC-32")


def save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_arrays_are_those_that_numpy_reads(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(12.0).reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["one", "three"]),
        "scalar": np.array(3),
        "none": np.zeros((0, 4), np.uint8),
    }
    path = save(tmp_path / "a.npz", **arrays)
    read = read_arrays(path, MB)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert list(read_arrays(path, MB, {"text", "other"})) == ["text"]
    with pytest.raises(OSError, match="it is too large"):
        read_arrays(path, 100)


def with_header(path: Path, shape: str, data: bytes = b"1234", kind: str = "'|u1'") -> Path:
    """An .npz whose array has this header."""
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data)
    return path


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (f"({10**30},)", "'|u1'"),
        (f"({10**30}, {10**30})", "'|u1'"),
        (f"({2**32}, {2**32})", "'|u1'"),
        ("(-4,)", "'|u1'"),
        ("(-2, -2)", "'|u1'"),
        ("(5,)", "'|u1'"),
        ("(1,)", "'|S2000000000'"),
        ("(4,)", "'nonsense'"),
        ("(4,", "'|u1'"),
        ("4", "'|u1'"),
        ("(4.0,)", "'|u1'"),
        ("(4,)", "'|O'"),
        ("[" * 90, "'|u1'"),
        ("(4,)", "[('a', '|u1')] * 3"),
        ("(4,)", "('|u1', (-1,))"),
    ],
)
@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_headers_of_arrays_are_not_believed(tmp_path: Path, shape: str, kind: str) -> None:
    with pytest.raises(DAMAGE):
        read_arrays(with_header(tmp_path / "a.npz", shape, kind=kind), MB)
    with pytest.raises(DAMAGE):
        list(read_rows(tmp_path / "a.npz", "a"))
    assert read_arrays(with_header(tmp_path / "b.npz", "(4,)"), MB)["a"].tolist() == [49, 50, 51, 52]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_an_array_is_read_row_by_row(tmp_path: Path, write: Callable[..., None]) -> None:
    array = np.random.default_rng(0).integers(0, 256, (300, 7, 5), np.uint8)
    write(tmp_path / "a.npz", a=array, text=np.array(["one", "three"]))
    np.testing.assert_array_equal(np.stack(list(read_rows(tmp_path / "a.npz", "a"))), array)
    assert [str(row) for row in read_rows(tmp_path / "a.npz", "text")] == ["one", "three"]


def test_rows_that_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.asfortranarray(np.zeros((3, 4)))
    path = save(tmp_path / "a.npz", columns=columns, scalar=np.array(3), empty=np.zeros((9, 0)), long=np.zeros((2, 9)))
    for name in ("columns", "scalar", "empty", "none"):
        with pytest.raises(DAMAGE):
            list(read_rows(path, name))
    monkeypatch.setattr(reading, "SMALL_ARRAYS", 70)
    with pytest.raises(OSError, match="it is too large"):
        list(read_rows(path, "long"))
    # A byte that changed is seen at the end, by the checksum.
    np.savez(tmp_path / "b.npz", a=np.arange(64, dtype=np.uint8).reshape(8, 8))
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[content.index(bytes(range(40, 48)))] ^= 1
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        list(read_rows(tmp_path / "b.npz", "a"))


def test_arrays_of_far_more_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.npz", a=np.zeros(4 * MB, np.uint8))
    assert read_arrays(path, 1 << 30)["a"].size == 4 * MB
    monkeypatch.setattr(reading, "SMALL_ARRAYS", MB)
    with pytest.raises(OSError, match=r"4 MB of arrays in 0\.0 MB: wanted at most 200 times its size"):
        read_arrays(path, 1 << 30)


def test_compressed_arrays_of_more_than_a_gigabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 2 * MB, np.uint8)
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, a=noise, b=noise[:5])
    assert reading.MOST_UNPACKED == 1 << 30
    monkeypatch.setattr(reading, "MOST_UNPACKED", MB)
    message = r"2 MB of compressed arrays: wanted at most 1 MB; save them without compression \(numpy\.savez\)"
    with pytest.raises(OSError, match=message):
        read_arrays(path, 1 << 30)
    assert list(read_arrays(path, 1 << 30, {"b"})) == ["b"]
    np.savez(tmp_path / "plain.npz", a=noise)
    assert read_arrays(tmp_path / "plain.npz", 1 << 30)["a"].size == 2 * MB


def test_a_list_of_members_that_fills_the_memory(tmp_path: Path) -> None:
    path, size = tmp_path / "a.zip", 3 << 30
    with path.open("wb") as file:
        file.seek(size)  # a hole, which takes no place on the disk
        file.write(b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, size - 100, 100, 0))
    with pytest.raises(OSError, match="it lists too many members, or is damaged"):
        open_zip(path).__enter__()
