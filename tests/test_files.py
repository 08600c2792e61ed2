"""Files are replaced as a whole, tables and hashes have the bytes that they always had."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from gpvae_core import files
from gpvae_core.csv_text import csv_text
from gpvae_core.errors import UserError
from gpvae_core.files import replacing, write_cached, write_json, write_text
from gpvae_core.hashes import hexdigest


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with suppress(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    write_json(path, {"a": [1]})
    assert path.read_text() == '{\n "a": [\n  1\n ]\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As with `gpvae table 1 --csv /dev/stdout`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_text(path, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_is_one_line_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_text(tmp_path / "file", "old")
    monkeypatch.setattr(files.os, call, refuse)
    with pytest.raises(UserError, match="the disk is full: could not write"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_cached(tmp_path / "cache" / "file", lambda file: file.write(b"kept"))
    assert (tmp_path / "cache" / "file").read_bytes() == b"kept"
    monkeypatch.setattr(files.os, "replace", refuse)
    assert not write_cached(tmp_path / "cache" / "other", lambda file: file.write(b"lost"))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["file"]


def test_a_hash_is_that_of_the_parts_together() -> None:
    assert hexdigest(["ab", b"c", memoryview(b"d")]) == hashlib.sha256(b"abcd").hexdigest()
    assert hexdigest(["µ"], "md5") == hashlib.md5("µ".encode(), usedforsecurity=False).hexdigest()


def test_a_table_gives_its_numbers_back() -> None:
    assert csv_text(("a", "b,c"), [(0.1 + 0.2, None), ("x", 1)]) == 'a,"b,c"\n0.30000000000000004,\nx,1\n'
