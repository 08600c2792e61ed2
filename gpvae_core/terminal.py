"""What is printed on a terminal: names and messages without control characters, on streams that never refuse a sign."""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
import sys

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and line feed: with them a name could clear, colour or rename a terminal."""


def printable(text: str) -> str:
    """Return the text with control characters as '\\x1b', so that a terminal shows them and does not obey them."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class PrintableFormatter(logging.Formatter):
    """Formats a record of the log without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _byte_or_escape(error: UnicodeError) -> tuple[bytes, int]:
    """Return what stands for signs that an encoding lacks: a byte of a path that is no text stays, all else is escaped.

    Bytes below 160 would be control characters on a terminal of eight bits.
    """
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    kept = "".join(
        sign if 0xDCA0 <= ord(sign) <= 0xDCFF else sign.encode("ascii", "backslashreplace").decode() for sign in signs
    )
    return kept.encode("ascii", "surrogateescape"), error.end


ERRORS = "byte-or-escape"
codecs.register_error(ERRORS, _byte_or_escape)


def accept_all_signs() -> None:
    """Let standard output and error print what their encoding lacks as '\\xb2', and nothing where they are closed.

    A path that is not UTF-8 is printed as the bytes that it is, so that other programs find it.

    By default a single such sign, as the '²' of a unit in ASCII, ends the program after all computing.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # NOTE: the file stays open until the process ends, as standard output does.
            setattr(sys, name, open(os.devnull, "a", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)
