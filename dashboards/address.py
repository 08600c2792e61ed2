"""A page's choices in its address: read when it opens, kept in step afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import panel as pn
import param

from gpvae_core.errors import UserError

LONGEST = 2000
"""Characters of a value that are looked at."""


def _number(key: str, text: str, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        raise UserError(f"{key}: wanted a {'whole ' * whole}number, got '{text[:40]}'") from None
    return value


def parsed(state: param.Parameterized, name: str, key: str, text: str) -> Any:
    """The value of the parameter `name`, written as `text` under `key`.

    Raises:
        UserError: no number, out of bounds, none of those to choose from.
    """
    wanted = state.param[name]
    if isinstance(wanted, param.Number):
        value = _number(key, text, isinstance(wanted, param.Integer))
        low, high = wanted.bounds or (None, None)
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            reach = f"to {high:g}" if high else "on"
            raise UserError(f"{key}: wanted a number from {low:g} {reach}, got '{text[:40]}'")
        return value
    if isinstance(wanted, param.Selector) and text not in wanted.objects:
        raise UserError(f"{key}: wanted one of {', '.join(wanted.objects)}, got '{text[:40]}'")
    return text


def read_address(state: param.Parameterized, names: Mapping[str, str], query: Mapping[str, list[str]]) -> list[str]:
    """Set the state from an address's query; returns a line for each value that was wrong and left as it was.

    Args:
        names: parameter -> its name in the address.
    """
    complaints = []
    for name, key in names.items():
        if key not in query:
            continue
        try:
            setattr(state, name, parsed(state, name, key, query[key][0][:LONGEST]))
        except UserError as error:
            complaints.append(str(error))
    return complaints


def sync_address(state: param.Parameterized, names: Mapping[str, str]) -> None:
    """From now on the address follows the state; nothing where there is no browser."""
    if pn.state.location is not None:
        # Of what the address said, only what was right; the sync would take over the rest.
        shown = {key: getattr(state, name) for name, key in names.items()}
        pn.state.location.search = f"?{urlencode(shown)}"
        pn.state.location.sync(state, dict(names), on_error=lambda values: None)
