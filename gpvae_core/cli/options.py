"""Checks of options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpvae_core.errors import UserError


def refuse(options: Mapping[str, Any], why: str) -> None:
    """Raise UserError where any of the options that would be ignored is given."""
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UserError(f"{why}: leave out {', '.join(given)}")
