"""Downloadable files with their checksums: fetching and verifying them."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests

from gpvae_core.data.damage import cannot_read
from gpvae_core.data.files import ENVIRONMENT, data_folder, find_file, own_folder
from gpvae_core.errors import UserError
from gpvae_core.hashes import hexdigest
from gpvae_core.progress import Progress
from gpvae_core.reading import Stream, open_regular

CHUNK = 1 << 16


@dataclass(frozen=True)
class Download:
    """One file on the web, at the address `base` + `file`."""

    base: str
    """Address of its folder, with a trailing slash."""
    file: str
    checksum: str
    """The published checksum, "md5:..." or "sha256:..."."""
    content: str | None = None
    """Checksum of the uncompressed bytes, which identifies the file if it is compressed differently, or not at all."""
    stand_in: bool = False
    """Whether the file is only read if the others are missing; such a file is never fetched."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the file may have in a folder."""
        return (self.file, self.file.removesuffix(".gz")) if self.content else (self.file,)


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_CIFAR10 = "https://www.cs.toronto.edu/~kriz/"
_SVHN = "http://ufldl.stanford.edu/housenumbers/"

DOWNLOADS: dict[str, tuple[Download, ...]] = {
    "mnist": (
        Download(
            _MNIST,
            "train-images-idx3-ubyte.gz",
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "md5:6bbc9ace898e44ae57da46a324031adb",
        ),
        Download(
            _MNIST,
            "train-labels-idx1-ubyte.gz",
            "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "md5:a25bea736e30d166cdddb491f175f624",
        ),
        Download(
            _MNIST,
            "t10k-images-idx3-ubyte.gz",
            "md5:9fb629c4189551a2d022fa330f9573f3",
            "md5:2646ac647ad5339dbf082846283269ea",
        ),
        Download(
            _MNIST,
            "t10k-labels-idx1-ubyte.gz",
            "md5:ec29112dd5afa0611ce80d1b7f02629c",
            "md5:27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "omniglot": (
        Download(_OMNIGLOT, "images_background.zip", "md5:68d2efa1b9178cc56df9314c21c6e718"),
        Download(_OMNIGLOT, "images_evaluation.zip", "md5:6b91aef0f799c5bb55b94e3f2daec811"),
        Download(
            _OMNIGLOT,
            "images_background_small1.zip",
            "sha256:f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
            stand_in=True,
        ),
        Download(
            _OMNIGLOT,
            "images_background_small2.zip",
            "sha256:3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
            stand_in=True,
        ),
    ),
    "cifar10": (Download(_CIFAR10, "cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    "svhn": (
        Download(_SVHN, "train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
        Download(_SVHN, "test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3"),
    ),
}


@dataclass
class _Bar:
    """Adapter from the progress bar that pooch expects to a progress callback."""

    progress: Progress
    what: str
    total: int = 0
    done: int = 0

    def update(self, count: int) -> None:
        self.done = min(self.done + count, self.total) if self.total else self.done + count
        self.progress(self.done, self.total or self.done, self.what)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Do nothing: the caller closes the bar."""


def fetch(name: str, progress: Progress, mirror: str | None = None) -> list[Path]:
    """Download the missing and damaged files of data set `name`, and return the paths of all its files.

    A file that arrives incomplete or with another checksum is discarded.

    Args:
        mirror: address of another web folder with the same files.

    Raises:
        UserError: the mirror's address is malformed, there is no network or no such page, a checksum differs, a file
            cannot be read, or the folder cannot be written.
    """
    if mirror is not None:
        _check_address(mirror)
    downloads = [download for download in DOWNLOADS[name] if not download.stand_in]
    if mirror is not None:
        downloads = [replace(download, base=f"{mirror.rstrip('/')}/") for download in downloads]
    return [_fetch_one(name, download, progress) for download in downloads]


def _check_address(mirror: str) -> None:
    try:
        parts = urlsplit(mirror)
        host = (parts.hostname or "").encode("idna")
        valid = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:  # the port is not a number, a bracket is not closed, or a part of the host is empty
        valid = False
    if not valid or mirror.split() != [mirror]:
        raise UserError(f"wanted a mirror's address, http://HOST/FOLDER or https://HOST/FOLDER, got '{mirror}'")


def verify(name: str) -> list[tuple[Path, str]]:
    """Return (path, checksum) of each present file of data set `name`, after comparing it with the published one.

    Raises:
        UserError: checksums differ (the message names all such files), or a file cannot be read.
    """
    verified, wrong = [], []
    for download in DOWNLOADS.get(name, ()):
        path = find_file(name, download.names)
        if path is None:
            continue
        (verified if matches(download, path) else wrong).append((path, download.content or download.checksum))
    if wrong:
        lines = [f"'{path}' is damaged or another file: its checksum is not {checksum}" for path, checksum in wrong]
        raise UserError(f"{'; '.join(lines)}; delete what is named and run 'gpvae data fetch {name}'")
    return verified


def matches(download: Download, path: Path) -> bool:
    """Return whether the file, or its uncompressed content, has the published checksum."""
    if path.name == download.file and _digest(path, download.checksum) == download.checksum:
        return True
    return download.content is not None and _digest(path, download.content, uncompress=True) == download.content


def unpublished_note(name: str, paths: Iterable[Path]) -> str:
    """Return which of these files of data set `name` are not the published ones, in words; empty if all are.

    Raises:
        UserError: a file cannot be read.
    """
    known = {file: download for download in DOWNLOADS[name] for file in download.names}
    others = [path.name for path in paths if path.name in known and not matches(known[path.name], path)]
    if not others:
        return ""
    return f"not the published files ({', '.join(others)}): likelihoods are not comparable with published ones"


def _digest(path: Path, like: str, uncompress: bool = False) -> str | None:
    """Return the checksum of a file, or of a .gz file's content, by the algorithm of `like`; None for a damaged .gz."""
    algorithm = like.partition(":")[0]
    try:
        with open_regular(path) as file:
            content = gzip.GzipFile(fileobj=file) if uncompress and path.suffix == ".gz" else file
            return f"{algorithm}:{hexdigest(_chunks(content), algorithm)}"
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None
    except OSError as error:
        raise cannot_read(path, error) from None


def _chunks(file: Stream) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _folder(name: str) -> Path:
    """Return the folder for downloads: below that of the environment variable if it is writable, else the cache."""
    own = own_folder()
    if own and os.access(own, os.W_OK):
        return own / name
    return data_folder(name)[-1]


def _fetch_one(name: str, download: Download, progress: Progress) -> Path:
    present = find_file(name, download.names)
    if present is not None and matches(download, present):
        return present
    folder = present.parent if present is not None else _folder(name)
    url = download.base + download.file
    pooch.get_logger().setLevel("WARNING")
    downloader: Any = pooch.HTTPDownloader(progressbar=_Bar(progress, download.file), chunk_size=CHUNK)  # pyright: ignore[reportArgumentType]
    try:
        return Path(pooch.retrieve(url, download.checksum, download.file, folder, downloader=downloader))
    except requests.RequestException as error:
        raise UserError(
            f"could not download {url} ({_reason(error)}): is there a network? Name another web folder with --mirror; "
            f"files got in another way go into '{folder}', or into a folder that {ENVIRONMENT} names"
        ) from None
    except ValueError:
        raise UserError(
            f"{url} came incomplete or is not the published file (wanted {download.checksum}); "
            "nothing was kept, try again"
        ) from None
    except OSError as error:
        reason = error.strerror or os.strerror(errno.EACCES)  # NOTE: pooch's own PermissionError has no strerror
        raise UserError(
            f"could not write '{folder / download.file}' ({reason}): set {ENVIRONMENT} to a folder that can be written"
        ) from None
    finally:
        with suppress(OSError):  # remove a folder that is empty because the download failed; `rmdir` keeps others
            folder.rmdir()


def _reason(error: requests.RequestException) -> str:
    """Return a short reason: the status of the page, or the host that did not answer."""
    if error.response is not None:
        return f"the server answers {error.response.status_code}"
    host = urlsplit(str(error.request.url)).hostname if error.request is not None else None
    return f"{type(error).__name__}{f', {host} does not answer' if host else ''}"
