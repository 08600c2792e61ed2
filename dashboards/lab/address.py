"""The state of a page, and how its parameters are read from the address and written into it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

import panel as pn
import param

from gpvae_core import parsing
from gpvae_core.errors import UserError, unknown
from gpvae_core.parsing import parse_json

LONGEST = 2000
"""Characters of a value in the address that are read; the rest is ignored."""
MOST_DIGITS = 9
"""Most digits of a whole number: nothing on the pages is counted beyond that."""


class Checked(param.String):
    """A text parameter that accepts only what `check` can read; for any other text `check` raises UserError."""

    __slots__ = ["check"]

    def __init__(self, default: str = "", *, check: Callable[[str], Any] = str, **params: Any) -> None:
        self.check = check
        super().__init__(default, **params)

    def _validate_value(self, val: Any, allow_None: bool) -> None:
        super()._validate_value(val, allow_None)
        self.check(val)


class PageState(param.Parameterized):
    """The choices of one page, as parameters that are read from the address and written back into it.

    A parameter with a negative precedence stays out of the address.
    """

    dark = param.Boolean(default=False, precedence=-1)
    address_names: ClassVar[Mapping[str, str]] = {}
    """Parameter -> its name in the address, where it has another one there."""
    steps: ClassVar[tuple[str, ...]] = ()
    """Parameters of which each value is an entry of the browser's history, such as the image."""

    @classmethod
    def in_address(cls) -> dict[str, str]:
        """Return the name in the address of each parameter that stands there, in the order of definition."""
        names = [name for name in cls.param if name != "name" and (cls.param[name].precedence or 0) >= 0]
        return {name: cls.address_names.get(name, name) for name in names}

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise UserError if these new values contradict the other parameters of the state."""

    def set(self, **values: Any) -> None:
        """Set several parameters at once.

        Raises:
            UserError: one of them cannot have its value, or they contradict one another; then none of them is set.
        """
        names = self.in_address()
        for name, value in values.items():
            check_value(self.param[name], names.get(name, name), value)
        self.check(values)
        self.param.update(**values)

    def read(self, query: Mapping[str, list[str]]) -> list[str]:
        """Set the parameters that an address's query names; return one line for each key or value not accepted."""
        names = self.in_address()
        complaints = [
            str(unknown("key of the address", key, names.values())) for key in query if key not in names.values()
        ]
        for name, key in names.items():
            if key in query:
                try:
                    setattr(self, name, parsed(self.param[name], key, query[key][0][:LONGEST]))
                except ValueError as error:
                    complaints.append(str(error))
        return complaints

    def follow(self) -> None:
        """Keep the address up to date with the state from now on; without a browser, do nothing."""
        if pn.state.location is not None:
            names = self.in_address()
            # Only accepted values may stand in the address when `sync` begins: it sets the state from what it finds.
            values = {key: (self.param[name], getattr(self, name)) for name, key in names.items()}
            texts = {key: as_text(parameter, value) for key, (parameter, value) in values.items() if value is not None}
            pn.state.location.search = f"?{urlencode(texts)}"
            pn.state.location.sync(self, names, on_error=lambda values: None)


def as_text(parameter: param.Parameter, value: Any) -> str:
    """Return the text of a value in the address, as panel writes it: a text or a date bare, all else as JSON."""
    plain = parameter.serialize(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def parsed(parameter: param.Parameter, key: str, text: str) -> Any:
    """Return the value of a parameter that stands as `text` under `key` in the address.

    Raises:
        UserError: the parameter cannot have this value, such as a number out of bounds.
    """
    try:
        value = _value(parameter, text)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{key}: wanted {_wanted(parameter)}, got '{text[:40]}'") from None
    check_value(parameter, key, value, text)
    return value


def check_value(parameter: param.Parameter, key: str, value: Any, text: str = "") -> None:
    """Raise UserError if a parameter, which stands under `key` in the address, cannot have this value."""
    try:
        parameter._validate(value)  # what param itself does when the parameter is set
    except UserError:
        raise
    except (ValueError, TypeError):
        raise UserError(f"{key}: wanted {_wanted(parameter)}, got '{(text or str(value))[:40]}'") from None


def _value(parameter: param.Parameter, text: str) -> Any:
    """Return the value that `text` stands for, unchecked. Raises ValueError where it stands for none."""
    if isinstance(parameter, param.String):
        return text
    if choices := _choices(parameter):
        if text not in choices:
            raise ValueError
        return choices[text]
    # A date is a number to param, but is read as a date.
    if isinstance(parameter, param.Number) and not isinstance(parameter, param.Date | param.CalendarDate):
        value = whole_number(text) if isinstance(parameter, param.Integer) else real_number(text)
        if value is None:
            raise ValueError
        return value
    # NOTE: param makes a tuple of the letters of any text.
    is_json = text.startswith(("[", "{")) or isinstance(parameter, param.Tuple)
    return parameter.deserialize(parse_json(text) if is_json else text)


def _choices(parameter: param.Parameter) -> dict[str, Any]:
    """Return the values of a parameter that has one of several, by their text in the address; else {}."""
    if isinstance(parameter, param.Boolean):
        return {"true": True, "false": False}
    if isinstance(parameter, param.Selector) and not isinstance(parameter, param.ListSelector):
        return {as_text(parameter, value): value for value in parameter.objects}
    return {}


def _wanted(parameter: param.Parameter) -> str:
    """Return in words which values the parameter can have; of its bounds the soft ones, if it has any."""
    if choices := _choices(parameter):
        return f"one of {', '.join(choices)}"
    if not isinstance(parameter, param.Number) or isinstance(parameter, param.Date | param.CalendarDate):
        return f"a value such as {as_text(parameter, parameter.default)}"
    low, high = parameter.softbounds or parameter.bounds or (None, None)
    kind = f"a {'whole ' * isinstance(parameter, param.Integer)}number"
    if low is not None and not parameter.inclusive_bounds[0]:
        return f"{kind} above {low:g}" + ("" if high is None else f", at most {high:g}")
    if low is None:
        return kind if high is None else f"{kind} of at most {high:g}"
    return f"{kind} from {low:g} on" if high is None else f"{kind} from {low:g} to {high:g}"


def whole_number(text: str) -> int | None:
    """Return the whole number that a text is, None for any other text."""
    digits = text.removeprefix("-")
    return int(text) if len(digits) <= MOST_DIGITS and parsing.whole_number(digits) is not None else None


def real_number(text: str) -> float | None:
    """Return the finite number that a text is, None for any other text."""
    value = parsing.real_number(text)
    return value if value is not None and math.isfinite(value) else None  # NOTE: nan passes any comparison with a bound


def two_numbers(key: str, text: str) -> tuple[float, float]:
    """Return the two numbers of a text 'a,b', which stands under `key` in the address.

    Raises:
        UserError: there are not two numbers.
    """
    match [real_number(part) for part in text.split(",")]:
        case [float(first), float(second)]:
            return first, second
    raise UserError(f"{key}: wanted two numbers such as 0.5,-0.2, got '{text[:40]}'")


def listed(text: str, separator: str) -> tuple[str, ...]:
    """Return the parts of a text such as 'vae,iaf:4', each once and none empty."""
    return tuple(dict.fromkeys(filter(None, text.split(separator))))
