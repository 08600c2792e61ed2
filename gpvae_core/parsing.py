"""Parsing JSON and whole numbers that a person or another program wrote; what is wrong is a ValueError or None."""

from __future__ import annotations

import json
from typing import Any

DEPTH = 64
"""Deepest nesting; Python's own limit is its stack, which code that walks through the value needs as well."""
DIGITS = 300
"""Most characters of a whole number: as many as a float can hold."""


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: it is, but is nested too deeply, has a number of too many digits, or a text with a null character or
            with half of a surrogate pair that is no byte of a path (Python's way to write one that is not UTF-8).
    """
    try:
        value = json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise _too_deep() from None
    _check(value, DEPTH)
    return value


def whole_number(text: str) -> int | None:
    """Return the whole number from 0 on that a text is, of at most DIGITS digits 0-9; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None


def real_number(text: str) -> float | None:
    """Return the number that a text is, in digits 0-9, also an infinite one and NaN; None for any other text."""
    try:
        return float(text) if text.isascii() else None
    except ValueError:
        return None


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {DEPTH} levels deep")


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number in it has {len(digits)} digits")
    return int(digits)


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, list | dict):
        if not depth:
            raise _too_deep()
        for item in value:  # of a dict, its keys
            _check(item, depth - 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check(item, depth - 1)


def check_text(text: str) -> None:
    """Raise ValueError if a text holds a null character, or half of a surrogate pair that is no byte of a path."""
    if "\0" in text:
        raise ValueError("a text in it holds a null character")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("a text in it holds half of a surrogate pair") from None
