"""Files that can be downloaded, with their checksums; fetching and checking them."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pooch
import requests

from gpvae_core.data.damage import cannot_read
from gpvae_core.data.files import ENVIRONMENT, data_folder, find_file, own_folder
from gpvae_core.errors import UserError
from gpvae_core.hashes import hexdigest
from gpvae_core.progress import Progress

CHUNK = 1 << 16


@dataclass(frozen=True)
class Download:
    """One file on the web, at the address `base` + `file`."""

    base: str
    """Address of its folder, with a slash at the end."""
    file: str
    checksum: str
    """The published checksum, "md5:..." or "sha256:..."."""
    content: str | None = None
    """Checksum of the uncompressed bytes, by which a file compressed anew (or not at all) is known too."""
    stand_in: bool = False
    """Read where the others are not there, and so never fetched."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names under which the file may lie in a folder."""
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
    """The bar that pooch moves as a file comes in, passed on to a progress callback."""

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
        """The bar belongs to the caller, who closes it."""


def fetch(name: str, progress: Progress, mirror: str | None = None) -> list[Path]:
    """Download the files of data set `name` that are not there or are damaged; the paths of all of them.

    `mirror` is the address of a web folder to take them from in place of the published one. Nothing is kept of a file
    that comes incomplete or with another checksum.

    Raises:
        UserError: a mirror that is no address, no network, no such page, another checksum, a file that cannot be read,
            a folder that cannot be written, a full disk.
    """
    if mirror is not None:
        _check_address(mirror)
    wanted = [download for download in DOWNLOADS[name] if not download.stand_in]
    return [
        _fetch_one(name, replace(item, base=f"{mirror.rstrip('/')}/") if mirror else item, progress) for item in wanted
    ]


def _check_address(mirror: str) -> None:
    try:
        parts = urlsplit(mirror)
        host = (parts.hostname or "").encode("idna")
        good = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close, dots with nothing between
        good = False
    if not good or mirror.split() != [mirror]:
        raise UserError(f"wanted a mirror's address, http://HOST/FOLDER or https://HOST/FOLDER, got '{mirror}'")


def verify(name: str) -> list[tuple[Path, str]]:
    """Return (path, checksum) of each file of data set `name` that is there and has its published sum.

    Raises:
        UserError: files with other sums (all of them named), or one that cannot be read.
    """
    checked, wrong = [], []
    for download in DOWNLOADS.get(name, ()):
        path = find_file(name, download.names)
        if path is None:
            continue
        (checked if matches(download, path) else wrong).append((path, download.content or download.checksum))
    if wrong:
        lines = [f"'{path}' is damaged or another file: its checksum is not {checksum}" for path, checksum in wrong]
        raise UserError(f"{'; '.join(lines)}; delete what is named and run 'gpvae data fetch {name}'")
    return checked


def matches(download: Download, path: Path) -> bool:
    """Return whether the file has the published checksum, of itself or of its uncompressed content."""
    if path.name == download.file and _digest(path, download.checksum) == download.checksum:
        return True
    return download.content is not None and _digest(path, download.content, uncompress=True) == download.content


def _digest(path: Path, like: str, uncompress: bool = False) -> str | None:
    """Checksum of a file (or of what a .gz holds) in the manner of `like`; None for a damaged .gz."""
    algorithm = like.partition(":")[0]
    try:
        with gzip.open(path, "rb") if uncompress and path.suffix == ".gz" else path.open("rb") as file:
            return f"{algorithm}:{hexdigest(_chunks(file), algorithm)}"  # pyright: ignore[reportArgumentType]
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None
    except OSError as error:
        raise cannot_read(path, error) from None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _folder(name: str) -> Path:
    """Return where downloads go: into the folder named by the environment if it can be written, else into the cache."""
    own = own_folder()
    if own and os.access(own, os.W_OK):
        return own / name
    return data_folder(name)[-1]


def _fetch_one(name: str, download: Download, progress: Progress) -> Path:
    there = find_file(name, download.names)
    if there is not None and matches(download, there):
        return there
    folder = there.parent if there is not None else _folder(name)
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
        refused = error.strerror or os.strerror(errno.EACCES)  # pooch puts a text of its own into PermissionError
        raise UserError(
            f"could not write '{folder / download.file}' ({refused}): set {ENVIRONMENT} to a folder that can be written"
        ) from None
    finally:
        with suppress(OSError):  # a folder made for a file that did not come; one that holds anything stays
            folder.rmdir()


def _reason(error: requests.RequestException) -> str:
    """Return the short of what went wrong: the page's status, or the host that did not answer."""
    if error.response is not None:
        return f"the server answers {error.response.status_code}"
    host = urlsplit(str(error.request.url)).hostname if error.request is not None else None
    return f"{type(error).__name__}{f', {host} does not answer' if host else ''}"
