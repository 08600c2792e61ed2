"""Messages about files that are damaged, or that are there and cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

from gpvae_core.errors import UserError


def short(what: object, most: int = 80) -> str:
    """Return the first printable characters of an error or a name, in one line: damage can put any bytes there."""
    text = "".join(letter for letter in " ".join(str(what).split()) if letter.isprintable())
    return text[:most] or type(what).__name__


def cannot_read(path: Path, error: OSError) -> UserError:
    """Return the error for a file or folder that the system refuses to read."""
    return UserError(f"'{path}' cannot be read ({error.strerror or short(error)})")


def check_readable(path: Path) -> None:
    """Say so where a file or folder cannot be read, before a reader takes that for damage; nothing if it is not there.

    Raises:
        UserError: no permission, a name too long, a failing disk.
    """
    try:
        path.stat()
        if path.is_dir():
            os.scandir(path).close()
        elif path.is_file():
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_read(path, error) from None
