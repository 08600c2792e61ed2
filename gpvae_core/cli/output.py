"""What a command says, and its result as JSON: printed with --json, written with --out FILE.

All commands print by this module and by `table`, so that no name or message brings control characters to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gpvae_core.cli.options import given_path
from gpvae_core.files import check_file, write_text
from gpvae_core.progress import Progress
from gpvae_core.terminal import printable

JsonFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", parser=given_path, help="Also write the result as JSON to this file."),
]


def say(line: str, err: bool = False) -> None:
    """Print a line on standard output, or on standard error."""
    # NOTE: typer.echo would print UTF-8 where the encoding of the stream is ASCII.
    print(printable(line), file=sys.stderr if err else sys.stdout, flush=True)


def announced(progress: Progress, lines: Sequence[str]) -> Progress:
    """Return a progress that says these lines on standard error once the work reports for the first time.

    A command whose work is refused at its start says the refusal alone.
    """
    left = list(lines)

    def report(done: int, total: int, what: str) -> None:
        while left:
            say(left.pop(0), err=True)
        progress(done, total, what)

    return report


def check_files(*paths: Path | None) -> None:
    """Raise UserError, before any computing starts, if one of these files cannot be written."""
    for path in paths:
        if path is not None:
            check_file(path)


def put_json(value: Any, printed: bool, file: Path | None = None) -> bool:
    """Write a result as JSON to `file`, if one is given, then print it if it is to be `printed`; return `printed`."""
    text = json.dumps(value, indent=1)
    if file is not None:
        write_text(file, text + "\n")
    if printed:
        print(text, flush=True)
    return printed
