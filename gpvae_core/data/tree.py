"""Pictures in a folder or a zip, read one by one into memory (nothing is unpacked to disk)."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.damage import cannot_read, check_readable, short
from gpvae_core.data.decode import decode, is_picture
from gpvae_core.errors import UserError
from gpvae_core.progress import silent, terminal_progress

MAX_MEMBER_BYTES = 50_000_000
MAX_ARRAY_BYTES = 8_000_000_000
MANY = 2000
"""Above so many pictures a progress bar is shown."""
_BATCH = 256
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class ImageFile:
    """A picture file: the folders it lies in below the root, its name, and how to read its bytes."""

    folders: tuple[str, ...]
    name: str
    where: str
    """How an error calls it."""
    read: Callable[[], bytes]


@contextmanager
def open_tree(path: Path) -> Iterator[list[ImageFile]]:
    """The pictures of a folder or zip, in the order of their paths. Hidden files and __MACOSX are left out.

    Links to folders are not followed.

    Raises:
        UserError: not there, not to be read, neither folder nor zip, a damaged zip, no picture in it.
    """
    check_readable(path)
    if path.is_dir():
        yield _some(path, _in_folder(path))
    elif path.is_file():
        with _open_zip(path) as archive:
            yield _some(path, _in_zip(path, archive))
    else:
        raise UserError(f"'{path}' is not there: wanted a folder or a zip of images")


def decode_all(pictures: Sequence[ImageFile], channels: int, size: int, what: str) -> NDArray[np.uint8]:
    """Return pixels (N, C, size, size) from 0 to 255, with a progress bar on standard error where there are many.

    Raises:
        UserError: a picture that is truncated or damaged (named), or more than memory should hold.
    """
    shape = (len(pictures), channels, size, size)
    if (need := int(np.prod(shape))) > MAX_ARRAY_BYTES:
        raise UserError(
            f"{what}: {len(pictures)} images of {size}x{size} take {need / 1e9:.0f} GB; choose a smaller size"
        )
    pixels = np.empty(shape, np.uint8)
    one = partial(_decode_one, channels=channels, size=size)
    # Pillow lets go of the interpreter's lock while it decodes; batches keep a stop or an error from waiting for all.
    shown = terminal_progress() if len(pictures) > MANY else nullcontext(silent)
    with shown as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            for i, image in enumerate(pool.map(one, batch), start):
                pixels[i] = image
            progress(start + len(batch), len(pictures), f"reading {what}")
    return pixels


def _decode_one(picture: ImageFile, channels: int, size: int) -> NDArray[np.uint8]:
    return decode(picture.read(), picture.where, channels, size, size)


def _some(path: Path, pictures: list[ImageFile]) -> list[ImageFile]:
    if not pictures:
        raise UserError(f"'{path}' holds no image (PNG, JPEG, BMP, WebP or GIF): is it the right folder or zip?")
    return sorted(pictures, key=lambda picture: (*picture.folders, picture.name))


def _wanted(parts: Sequence[str]) -> bool:
    return is_picture(parts[-1]) and all(map(_shown, parts))


def _shown(part: str) -> bool:
    return not part.startswith(".") and part != "__MACOSX"


def _in_folder(root: Path) -> list[ImageFile]:
    def refuse(error: OSError) -> None:
        raise cannot_read(Path(error.filename), error) from None

    found = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if _shown(name)]
        for name in names:
            file = Path(folder) / name
            parts = file.relative_to(root).parts
            if _wanted(parts):
                found.append(ImageFile(parts[:-1], name, f"'{file}'", partial(_read_file, file)))
    return found


def _in_zip(path: Path, archive: zipfile.ZipFile) -> list[ImageFile]:
    found = []
    for info in archive.infolist():
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if parts and not info.is_dir() and _wanted(parts):
            read = partial(_read_member, path, archive, info)
            found.append(ImageFile(parts[:-1], parts[-1], _where(path, info), read))
    return found


def _where(path: Path, info: zipfile.ZipInfo) -> str:
    """Return how an error calls a member; damage can make its name any bytes, many of them."""
    return f"'{short(info.filename, 200)}' in '{path}'"


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise UserError(
            f"'{path}' is no zip of images, or is truncated ({short(error)}): copy or fetch it again"
        ) from None


def _read_file(file: Path) -> bytes:
    try:
        _check_size(file.stat().st_size, f"'{file}'")
        return file.read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from None


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member; zipfile itself stops at the size that was checked."""
    _check_size(info.file_size, _where(path, info))
    try:
        return archive.read(info)
    except _DAMAGE as error:
        raise UserError(f"{_where(path, info)} is damaged ({short(error)}): copy or fetch the zip again") from None


def _check_size(size: int, where: str) -> None:
    if size > MAX_MEMBER_BYTES:
        raise UserError(f"{where} has {size / 1e6:.0f} MB: wanted images of at most {MAX_MEMBER_BYTES / 1e6:.0f} MB")
