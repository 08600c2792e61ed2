"""The one error that a user sees as a single line, and the suggestion for a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input: what was wanted, what came, the likely cause. Exit code 2 on the command line, a message in a page."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, whatever the case, or None where nothing is close."""
    folded = {option.casefold(): option for option in known}
    matches = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not in `known`, with the nearest right one."""
    options = sorted(known)
    close = nearest(name, options)
    hint = f"; did you mean '{close}'?" if close else ""
    return UserError(f"unknown {what} '{name}'{hint} (known: {', '.join(options) or 'none'})")
