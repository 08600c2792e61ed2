"""Checks of options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from gpvae_core.errors import UserError
from gpvae_core.files import checked_path


def given_path(text: str | Path) -> Path:
    """Return the path that a text is: the parser of every option and argument that takes a path.

    Raises:
        typer.BadParameter: it is empty.
    """
    try:
        return checked_path(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def refuse(options: Mapping[str, Any], reason: str) -> None:
    """Raise UserError with `reason` if any of these options, which would be ignored, is given."""
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UserError(f"{reason}: leave out {', '.join(given)}")
