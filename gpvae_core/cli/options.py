"""Checks of command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpvae_core.errors import UserError


def refuse(options: Mapping[str, Any], reason: str) -> None:
    """Raise UserError with `reason` if any of these options, which would be ignored, is given."""
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UserError(f"{reason}: leave out {', '.join(given)}")
