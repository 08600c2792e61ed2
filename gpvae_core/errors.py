"""The error on bad input, which users see as a single line, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, ignoring case, or None if none is close."""
    folded = {option.casefold(): option for option in known}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not among `known`, with the closest known one as a suggestion."""
    options = sorted(known)
    close = nearest(name, options)
    hint = f"; did you mean '{close}'?" if close else ""
    return UserError(f"unknown {what} '{name}'{hint} (known: {', '.join(options) or 'none'})")
