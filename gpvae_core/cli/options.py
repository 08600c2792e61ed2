"""Checks of options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from gpvae_core.errors import UserError


def given_path(text: str | Path) -> Path:
    """Return the path that a text is: the parser of every option and argument that takes a path.

    Raises:
        typer.BadParameter: it is empty, as where a variable of a script is not set; Python takes that for the folder
            in which one works.
    """
    if not str(text):
        raise typer.BadParameter("wanted a path, got ''; the folder in which you work is '.'")
    return Path(text)


def refuse(options: Mapping[str, Any], reason: str) -> None:
    """Raise UserError with `reason` if any of these options, which would be ignored, is given."""
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UserError(f"{reason}: leave out {', '.join(given)}")
