"""Pictures in a folder or a zip, read one by one into memory; nothing is extracted to the disk."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.damage import cannot_read, check_readable, counted, percent, short
from gpvae_core.data.decode import WANTED, Picture, decode, is_picture
from gpvae_core.errors import UserError
from gpvae_core.progress import silent, terminal_progress
from gpvae_core.reading import DAMAGE, open_zip, read_bytes, read_member

MAX_MEMBER_BYTES = 50_000_000
MAX_ARRAY_BYTES = 8_000_000_000
MANY = 2000
"""Number of pictures above which a progress bar is shown."""
_BATCH = 256


@dataclass(frozen=True)
class ImageFile:
    """A picture file in a folder or zip."""

    folders: tuple[str, ...]
    """Folders below the root that contain it."""
    name: str
    where: str
    """Its name in error messages."""
    read: Callable[[], bytes]
    """Function that returns its bytes."""


@dataclass(frozen=True)
class Tree:
    """The visible content of a folder or zip."""

    pictures: list[ImageFile]
    """Sorted by path."""
    others: list[tuple[str, ...]]
    """Path of each file that is no picture."""
    links: list[tuple[str, ...]]
    """Path of each link to a folder, which is not followed."""
    empty: list[tuple[str, ...]]
    """Path of each folder without any visible content: of a class, it is none."""

    def left_out(self) -> str:
        """Return what is not read, in words; empty if all is read."""
        with_pictures = {picture.folders for picture in self.pictures}
        # Files of a folder without any picture come first: a whole class may be left out.
        others = sorted(self.others, key=lambda parts: (parts[:-1] in with_pictures, parts))
        words = [f"{counted(map('/'.join, others), 'file')} that are not {WANTED}"] if others else []
        words += [f"{counted(map('/'.join, sorted(self.links)), 'link')} to folders"] if self.links else []
        words += [f"{counted(map('/'.join, sorted(self.empty)), 'folder')} with nothing in it"] if self.empty else []
        return f"left out: {' and '.join(words)}" if words else ""


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """Open a folder or zip and yield its content without hidden files and __MACOSX.

    Raises:
        UserError: the path does not exist, cannot be read, is neither folder nor zip, is damaged, or has no picture.
    """
    check_readable(path)
    if path.is_dir():
        yield _checked(path, _in_folder(path))
    elif path.is_file():
        with ExitStack() as stack:
            archive = _open_zip(path, stack)
            yield _checked(path, _in_zip(path, archive))
    else:
        raise UserError(f"'{path}' is not there: wanted a folder or a zip of images")


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures of one shape; the order is that of their files."""

    pixels: NDArray[np.uint8]
    """(N, C, H, W), see `Picture.pixels`."""
    deep: list[tuple[int, int] | None]
    """See `Picture.deep`."""
    exact: bool
    """Whether all bits of all pictures were read, see `Picture.exact`."""
    cropped: NDArray[np.float64]
    """(N,), see `Picture.cropped`."""
    animated: int
    """Number of pictures of which the first of more frames was read."""

    def crop_note(self, where: str) -> str:
        """Return how many pictures were cropped, and how, in words; empty if none was."""
        if not (count := np.count_nonzero(self.cropped)):
            return ""
        return (
            f"{where}: {count} of {len(self.cropped)} pictures are not square: only the square in the middle is read, "
            f"up to {percent(self.cropped.max())} of a picture is left out"
        )

    def frames_note(self, where: str) -> str:
        """Return how many pictures have more frames than the one that was read, in words; empty if none has."""
        if not self.animated:
            return ""
        return f"{where}: {self.animated} of {len(self.pixels)} pictures are animated: only the first frame is read"


def decode_all(
    pictures: Sequence[ImageFile],
    channels: int,
    size: int,
    what: str,
    white: int | None = None,
    width: int | None = None,
) -> Pictures:
    """Return pixels (N, C, size, width) from 0 to 255; shows a progress bar on standard error if there are many.

    Args:
        width: by default as the height, `size`.
        white: value of white in files with 16 bits a channel, see `decode`.

    Raises:
        UserError: a picture is truncated or damaged, has a value above that of white, or the pixels would exceed
            MAX_ARRAY_BYTES.
    """
    shape = (len(pictures), channels, size, width or size)
    if (need := int(np.prod(shape))) > MAX_ARRAY_BYTES:
        raise UserError(
            f"{what}: {len(pictures)} images of {size}x{width or size} take {need / 1e9:.0f} GB; choose a smaller size"
        )
    pixels = np.empty(shape, np.uint8)
    deep: list[tuple[int, int] | None] = []
    cropped = np.empty(len(pictures))
    exact, animated = True, 0
    decode_one = partial(_decode_one, channels=channels, height=size, width=width or size, white=white)
    # Pillow releases the interpreter's lock while it decodes, so that threads run in parallel. With batches, a stop or
    # an error takes effect before all pictures are decoded.
    bar = terminal_progress() if len(pictures) > MANY else nullcontext(silent)
    with bar as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            for i, picture in enumerate(pool.map(decode_one, batch), start):
                pixels[i], cropped[i] = picture.pixels, picture.cropped
                deep.append(picture.deep)
                exact = exact and picture.exact
                animated += picture.animated
            progress(start + len(batch), len(pictures), f"reading {what}")
    return Pictures(pixels, deep, exact, cropped, animated)


def _decode_one(picture: ImageFile, channels: int, height: int, width: int, white: int | None) -> Picture:
    return decode(picture.read(), picture.where, channels, height, width, white)


def _checked(path: Path, tree: Tree) -> Tree:
    """Sort the pictures by path. Raises UserError if there are none."""
    if not tree.pictures:
        left_out = f"; {text}" if (text := tree.left_out()) else ""
        raise UserError(f"'{path}' holds no image ({WANTED}): is it the right folder or zip?{left_out}")
    tree.pictures.sort(key=lambda picture: (*picture.folders, picture.name))
    return tree


def leading(paths: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return those of the paths that lead to another of them."""
    # In order, a path stands directly before those it leads to; deep paths of a hostile zip take no quadratic time.
    return {path for path, following in pairwise(sorted(set(paths))) if following[: len(path)] == path}


def _is_visible(part: str) -> bool:
    return not part.startswith(".") and part != "__MACOSX"


def _in_folder(root: Path) -> Tree:
    def refuse(error: OSError) -> None:
        raise cannot_read(Path(error.filename), error) from None

    tree = Tree([], [], [], [])
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if _is_visible(name)]  # in place: `os.walk` descends into these only
        within = Path(folder).relative_to(root).parts
        tree.links.extend((*within, name) for name in folders if (Path(folder) / name).is_symlink())
        visible = list(filter(_is_visible, names))
        if within and not folders and not visible:
            tree.empty.append(within)
        for name in visible:
            file = Path(folder) / name
            if is_picture(name):
                tree.pictures.append(ImageFile(within, name, f"'{file}'", partial(read_file, file)))
            else:
                tree.others.append((*within, name))
    return tree


def _in_zip(path: Path, archive: zipfile.ZipFile) -> Tree:
    tree = Tree([], [], [], [])
    folders: set[tuple[str, ...]] = set()
    for info in archive.infolist():
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if not parts or not all(map(_is_visible, parts)):
            continue
        if info.is_dir():
            folders.add(parts)
        elif is_picture(parts[-1]):
            read = partial(_read_member, path, archive, info)
            tree.pictures.append(ImageFile(parts[:-1], parts[-1], _where(path, info), read))
        else:
            tree.others.append(parts)
    files = ((*picture.folders, picture.name) for picture in tree.pictures)
    tree.empty.extend(folders - leading((*folders, *files, *tree.others)))
    return tree


def _where(path: Path, info: zipfile.ZipInfo) -> str:
    """Return a member's name in error messages, shortened: in a damaged zip it can be any number of any bytes."""
    return f"'{short(info.filename, 200)}' in '{path}'"


def _open_zip(path: Path, stack: ExitStack) -> zipfile.ZipFile:
    try:
        return stack.enter_context(open_zip(path))
    except OSError as error:
        raise cannot_read(path, error) from None
    except DAMAGE as error:
        raise UserError(
            f"'{path}' is not a zip of images, or is truncated ({short(error)}): copy or fetch it again"
        ) from None


def read_file(file: Path) -> bytes:
    """Return the bytes of a picture file. Raises UserError if it cannot be read, or is too large."""
    try:
        _check_size(file.stat().st_size, f"'{file}'")
        return read_bytes(file, MAX_MEMBER_BYTES)
    except OSError as error:
        raise cannot_read(file, error) from None


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member."""
    _check_size(info.file_size, _where(path, info))
    try:
        return read_member(archive, info, MAX_MEMBER_BYTES, path)
    except OSError as error:
        raise UserError(f"{_where(path, info)} cannot be read ({error.strerror or short(error)})") from None
    except DAMAGE as error:
        raise UserError(f"{_where(path, info)} is damaged ({short(error)}): copy or fetch the zip again") from None


def _check_size(size: int, where: str) -> None:
    if size > MAX_MEMBER_BYTES:
        raise UserError(f"{where} has {size / 1e6:.0f} MB: wanted images of at most {MAX_MEMBER_BYTES / 1e6:.0f} MB")
