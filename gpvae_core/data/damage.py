"""Messages about damaged and unreadable files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gpvae_core.errors import UserError
from gpvae_core.reading import DAMAGE, open_regular


def short(what: object, most: int = 80) -> str:
    """Return the first printable characters of an error or name on one line; damaged files can put any bytes there."""
    text = "".join(letter for letter in " ".join(str(what).split()) if letter.isprintable())
    return text[:most] or type(what).__name__


def counted(names: Iterable[str], what: str) -> str:
    """Return how many there are and the first three names in words, such as "4 files ('a', 'b', 'c', ...)"."""
    every = list(names)
    first = ", ".join(f"'{short(name, 60)}'" for name in every[:3])
    return f"{len(every)} {what}{'' if len(every) == 1 else 's'} ({first}{', ...' if len(every) > 3 else ''})"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a whole percentage from 1 to 99: neither nothing nor all is said of a part."""
    return f"{min(max(round(100.0 * share), 1), 99)} %"


def cannot_read(path: Path, error: OSError) -> UserError:
    """Return the UserError for a file or folder that the system refuses to read."""
    return UserError(f"'{path}' cannot be read ({error.strerror or short(error)})")


def check_readable(path: Path) -> None:
    """Raise UserError if a file or folder exists but cannot be read, which a reader could mistake for damage.

    Causes are missing permissions, a name that is too long, a failing disk, or a pipe or device in its place.
    """
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            os.scandir(path).close()
        else:
            open_regular(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_read(path, error) from None


@contextmanager
def npz_in_one_line(path: Path) -> Iterator[None]:
    """Raise what goes wrong within, while an .npz is read, as UserError.

    Causes are that the file does not exist, cannot be read, is not an .npz, is truncated, contains Python objects, or
    exceeds a limit.
    """
    check_readable(path)
    if not path.is_file():
        raise UserError(f"'{path}' is not there: wanted an .npz file")
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise cannot_read(path, error) from None
    except DAMAGE as error:
        raise UserError(f"'{path}' is not an .npz of plain numbers, is damaged or truncated ({short(error)})") from None
