"""The error on bad input, which users see as a single line, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED, FEW = 100, 10
"""Most known names that are listed in full, and how many of more are."""
LONGEST = 200
"""Longest name for which a similar one is sought, which takes long for a text of a million letters."""


class UserError(ValueError):
    """Bad input; the message says what was expected, what came and the likely cause.

    The command line prints it and exits with code 2; a page shows it.

    >>> import gpvae_core as gpvae
    >>> try:
    ...     gpvae.load_dataset("digit")
    ... except gpvae.UserError as error:
    ...     print(str(error).partition(" (")[0])
    unknown dataset 'digit'; did you mean 'digits'?
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def shown(text: str) -> str:
    """Return a text that can be written as UTF-8: bytes of a path that are not, as in '\\udcff', become that escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def clipped(text: str, most: int = 80) -> str:
    """Return a text from outside, shortened so that a message with it stays one readable line."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, ignoring case, or None if none is close."""
    if len(name) > LONGEST:
        return None
    folded = {option.casefold(): option for option in known}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not among `known`, with the closest known one as a suggestion."""
    options = sorted(known)
    close = nearest(name, options)
    hint = f"; did you mean '{close}'?" if close else ""
    shown = options if len(options) <= MOST_LISTED else [*options[:FEW], f"and {len(options) - FEW:,} more"]
    return UserError(f"unknown {what} '{clipped(name)}'{hint} (known: {', '.join(shown) or 'none'})")
