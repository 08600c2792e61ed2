"""The choices of a page: what there is to choose, and how it stands in the address."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

import panel as pn
import param

from gpvae_core.errors import UserError

LONGEST = 2000
"""Characters of a value that are looked at."""
MOST_DIGITS = 9
"""Digits of a whole number: larger ones count nothing here."""


class Checked(param.String):
    """A text that `check` reads; it raises UserError, with one line, for a text that it cannot read."""

    __slots__ = ["check"]

    def __init__(self, default: str = "", *, check: Callable[[str], Any] = str, **params: Any) -> None:
        self.check = check
        super().__init__(default, **params)

    def _validate_value(self, val: Any, allow_None: bool) -> None:
        super()._validate_value(val, allow_None)
        self.check(val)


class PageState(param.Parameterized):
    """The choices of one page; its parameters are read from the address when it opens, and kept there.

    A parameter with a negative precedence stays out of the address.
    """

    dark = param.Boolean(default=False, precedence=-1)
    address_names: ClassVar[Mapping[str, str]] = {}
    """Parameter -> its name in the address, where it has another one there."""

    @classmethod
    def in_address(cls) -> dict[str, str]:
        """Return parameter -> its name in the address, in the order of their definition."""
        names = [name for name in cls.param if name != "name" and (cls.param[name].precedence or 0) >= 0]
        return {name: cls.address_names.get(name, name) for name in names}

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises UserError for a choice that does not go together with what holds."""

    def read(self, query: Mapping[str, list[str]]) -> list[str]:
        """Set the state from an address's query; return a line for each value that was wrong and left as it was."""
        complaints = []
        for name, key in self.in_address().items():
            if key in query:
                try:
                    setattr(self, name, parsed(self.param[name], key, query[key][0][:LONGEST]))
                except UserError as error:
                    complaints.append(str(error))
        return complaints

    def follow(self) -> None:
        """Have the address follow the state from now on; nothing happens where there is no browser."""
        if pn.state.location is not None:
            names = self.in_address()
            # Of what the address said, only what was right; the sync would take over the rest.
            pn.state.location.search = f"?{urlencode({key: getattr(self, name) for name, key in names.items()})}"
            pn.state.location.sync(self, names, on_error=lambda values: None)


def parsed(parameter: param.Parameter, key: str, text: str) -> Any:
    """Return the value of a parameter that stands as `text` under `key`.

    Raises:
        UserError: no number, out of bounds, none of those to choose from.
    """
    if isinstance(parameter, param.Selector) and text not in parameter.objects:
        raise UserError(f"{key}: wanted one of {', '.join(parameter.objects)}, got '{text[:40]}'")
    if not isinstance(parameter, param.Number):
        return text
    whole = isinstance(parameter, param.Integer)
    value = whole_number(text) if whole else real_number(text)
    low, high = parameter.bounds or (None, None)
    if value is None or (low is not None and value < low) or (high is not None and value > high):
        raise UserError(f"{key}: wanted a {'whole ' * whole}number{_reach(parameter)}, got '{text[:40]}'")
    return value


def whole_number(text: str) -> int | None:
    """Return the number from 0 on that a text is, None for any other text."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def real_number(text: str) -> float | None:
    """Return the finite number that a text is, None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None  # NOTE: nan passes any comparison with a bound


def _reach(parameter: param.Number) -> str:
    """Return the bounds in words; the soft ones, where 0 stands for what suits best."""
    low, high = parameter.softbounds or parameter.bounds or (None, None)
    if low is None:
        return "" if high is None else f" of at most {high:g}"
    return f" from {low:g} on" if high is None else f" from {low:g} to {high:g}"
