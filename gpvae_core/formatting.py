"""Numbers as text."""

from __future__ import annotations

import math
import re

DECIMALS, SIGNIFICANT = 3, 2
"""Decimals of a number in a table, and the fewest digits that a smaller number shows after its zeros."""
SMALLEST = 1e-4
"""Below it numbers are written with a power of ten."""

HYPHEN = re.compile(r"(?<![\w.:=)\]\-])-(?=\d)")
"""A hyphen that stands for the minus sign of a number, and not in a name, an option or a power of ten."""
TO_NUMBER = re.compile(r"(?<=[\d%]) to (?=[−\d])")


def typographic(text: str) -> str:
    """Return a sentence as pages show it: with minus signs as in figures, and no line break around the 'to' of a range.

    >>> typographic("rho = -0.15 (-0.24 to -0.04), 1e-05, run-1")
    'rho = −0.15 (−0.24\\xa0to\\xa0−0.04), 1e-05, run-1'
    """
    return TO_NUMBER.sub("\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}", HYPHEN.sub("−", text))


def number(value: float | None) -> str:
    """Format a number with three decimals, or more where these would leave one digit or none; '?' if it is undefined.

    >>> [number(value) for value in (14.64412, 0.00041, 3.2e-7, 0.0, None)]
    ['14.644', '0.00041', '3.2e-07', '0.000', '?']
    """
    if value is None:
        return "?"
    size = abs(value)
    if not math.isfinite(value) or size == 0.0 or size >= 10.0 ** (SIGNIFICANT - 1 - DECIMALS):
        return f"{value:.{DECIMALS}f}"
    if size < SMALLEST:
        return f"{value:.{SIGNIFICANT - 1}e}"
    return f"{value:.{SIGNIFICANT - 1 - math.floor(math.log10(size))}f}"


def rounded(value: float | None, decimals: int) -> str:
    """Format a number whose scale is known, such as a correlation, with so many decimals; '?' if it is undefined."""
    return "?" if value is None else f"{value:z.{decimals}f}"


def plus_minus(value: float | None, error: float | None) -> str:
    """Format a value and its error; a value without an error stands alone."""
    return number(value) if error is None else f"{number(value)} ± {number(error)}"
