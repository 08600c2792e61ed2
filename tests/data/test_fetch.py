"""Downloads from a server on this machine: right, wrong, broken off, not there."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.cli.main import main
from gpvae_core.data import downloads
from gpvae_core.data.downloads import DOWNLOADS, Download, fetch, matches, verify
from gpvae_core.data.files import find_file
from gpvae_core.errors import UserError
from tests.data.makers import lock

CONTENT = bytes(range(256)) * 1000
PACKED = gzip.compress(CONTENT)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; breaks off in the middle of files called broken-*; logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if not self.path.startswith("/broken-"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(PACKED)))
        self.end_headers()
        self.wfile.write(PACKED[: len(PACKED) // 2])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "set.gz").write_bytes(PACKED)
    (folder / "other.gz").write_bytes(b"another file")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for data."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("GPVAE_DATA_DIR", str(folder))
    return folder


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def offer(monkeypatch: pytest.MonkeyPatch, base: str, file: str) -> None:
    """One downloadable data set, 'small', of the file with the checksum of PACKED."""
    monkeypatch.setitem(DOWNLOADS, "small", (Download(base, file, md5(PACKED), md5(CONTENT)),))


def silent(done: int, total: int, what: str) -> None:
    pass


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def test_a_right_file_comes_with_progress(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, web, "set.gz")
    seen: list[tuple[int, int, str]] = []
    paths = fetch("small", lambda done, total, what: seen.append((done, total, what)))
    assert paths == [home / "small" / "set.gz"]
    assert paths[0].read_bytes() == PACKED
    assert everything(home / "small") == paths
    assert seen[-1] == (len(PACKED), len(PACKED), "set.gz")
    assert verify("small") == [(paths[0], md5(CONTENT))]


def test_a_file_that_is_there_is_not_fetched_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/", "set.gz")
    (home / "set.gz").write_bytes(gzip.compress(CONTENT, 1))
    assert fetch("small", silent) == [home / "set.gz"]


def test_a_damaged_file_is_replaced(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, web, "set.gz")
    (home / "set.gz").write_bytes(PACKED[:100])
    with pytest.raises(UserError, match=r"damaged or another file.*gpvae data fetch small"):
        verify("small")
    assert fetch("small", silent)[0].read_bytes() == PACKED


@pytest.mark.parametrize("file", ["set.gz", "set"])
def test_a_file_that_may_not_be_read(file: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/", "set.gz")
    (home / file).write_bytes(PACKED)
    lock(monkeypatch, home / file)
    for check in (lambda: verify("small"), lambda: fetch("small", silent)):
        with pytest.raises(UserError, match=rf"^'{home / file}' cannot be read \(Permission denied\)$"):
            check()


def test_a_mirror_is_asked_instead(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/", "set.gz")
    assert fetch("small", silent, mirror=web.rstrip("/"))[0].read_bytes() == PACKED


@pytest.mark.parametrize(
    "mirror",
    [
        "",
        "nourl",
        "file:///tmp",
        "ftp://here/",
        "http://",
        "http:///folder",
        "http://localhost:foo/",
        "http://localhost:99999/",
        "http://[::1/",
        "http://a..b/",
        "http://a b/",
    ],
)
def test_a_mirror_that_is_no_address(mirror: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["data", "fetch", "mnist", "--mirror", mirror])
    assert stop.value.code == 2
    expected = f"gpvae: wanted a mirror's address, http://HOST/FOLDER or https://HOST/FOLDER, got '{mirror}'\n"
    assert capsys.readouterr() == ("", expected)
    assert everything(home) == []


def test_all_damaged_files_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Download("http://127.0.0.1:9/", file, md5(PACKED)) for file in ("a.gz", "b.gz", "c.gz")]
    monkeypatch.setitem(DOWNLOADS, "small", tuple(items))
    for item, content in zip(items, (b"", PACKED, PACKED[:-1]), strict=True):
        (home / item.file).write_bytes(content)
    with pytest.raises(UserError, match=r"gpvae data fetch small") as error:
        verify("small")
    assert [f"'{home / item.file}' is damaged" in str(error.value) for item in items] == [True, False, True]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("other.gz", "came incomplete or is not the published file"),
        ("broken-set.gz", "came incomplete or is not the published file|could not download"),
        ("absent.gz", "the server answers 404"),
    ],
)
def test_nothing_is_kept_of_a_bad_download(
    file: str, message: str, web: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, web, file)
    with pytest.raises(UserError, match=message) as error:
        fetch("small", silent)
    assert "\n" not in str(error.value)
    assert everything(home) == []


def test_a_damaged_file_survives_a_bad_download(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, web, "other.gz")
    (home / "other.gz").write_bytes(b"mine")
    with pytest.raises(UserError, match="nothing was kept"):
        fetch("small", silent)
    assert (home / "other.gz").read_bytes() == b"mine"
    assert everything(home) == [home / "other.gz"]


def test_no_network_is_one_clear_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/", "set.gz")
    monkeypatch.setitem(DOWNLOADS, "mnist", DOWNLOADS["small"])
    with pytest.raises(SystemExit) as stop:
        main(["data", "fetch", "mnist"])
    assert stop.value.code == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert "127.0.0.1 does not answer): is there a network? Name another web folder with --mirror;" in streams.err
    assert f"go into '{home / 'mnist'}', or into a folder that GPVAE_DATA_DIR names" in streams.err


def test_a_folder_that_cannot_be_written(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, web, "set.gz")
    (home / "small").write_text("a file where the folder belongs")
    with pytest.raises(UserError, match="could not write"):
        fetch("small", silent)


def test_a_folder_that_may_not_be_written(web: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    offer(monkeypatch, web, "set.gz")
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    monkeypatch.setattr("os.makedirs", refuse)
    for _ in range(2):
        with pytest.raises(UserError) as error:
            fetch("small", silent)
        expected = "(Permission denied): set GPVAE_DATA_DIR to a folder that can be written"
        assert str(error.value) == f"could not write '{home / 'small' / 'set.gz'}' {expected}"
        (home / "small").mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("/no/such/folder", "No such file or directory"),
        ("~/x", "No such file or directory"),
        (__file__, "Not a directory"),
        ("/locked", "Permission denied"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["fetch", "mnist"], ["verify", "mnist"]])
def test_a_data_folder_that_is_none(
    value: str, reason: str, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(monkeypatch, Path("/locked"))
    monkeypatch.setenv("GPVAE_DATA_DIR", value)
    with pytest.raises(SystemExit) as stop:
        main(["data", *command])
    expected = f"gpvae: GPVAE_DATA_DIR is '{value}', which cannot be read ({reason}): set it to a folder that is there"
    assert (stop.value.code, capsys.readouterr()) == (2, ("", f"{expected}, or unset it\n"))


def test_a_data_folder_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GPVAE_DATA_DIR", "~/x")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "set.gz").write_bytes(PACKED)
    assert find_file("small", ["set.gz"]) == tmp_path / "x" / "set.gz"


def test_downloads_go_to_the_cache_where_no_folder_is_named(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPVAE_DATA_DIR", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    offer(monkeypatch, web, "set.gz")
    assert fetch("small", silent) == [tmp_path / "cache" / "gpvae" / "small" / "set.gz"]
    assert find_file("small", ["set.gz"]) == tmp_path / "cache" / "gpvae" / "small" / "set.gz"


def test_an_uncompressed_file_is_known_by_its_content(tmp_path: Path) -> None:
    item = Download("", "set.gz", md5(PACKED), md5(CONTENT))
    (tmp_path / "set").write_bytes(CONTENT)
    assert matches(item, tmp_path / "set")
    (tmp_path / "set").write_bytes(CONTENT[:-1])
    assert not matches(item, tmp_path / "set")


def test_real_files_have_their_published_sums(data_dir: Path) -> None:
    for name, count in (("mnist", 4), ("omniglot", 2)):
        if not (data_dir / name).is_dir():
            pytest.skip(f"no {name} in GPVAE_DATA_DIR")
        assert len(verify(name)) >= count


def test_each_download_has_a_source_and_a_checksum() -> None:
    from gpvae_core.data.base import DATASETS

    for name, items in downloads.DOWNLOADS.items():
        assert name in DATASETS.summaries()
        assert any(not item.stand_in for item in items)
        for item in items:
            algorithm, _, digest = item.checksum.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
