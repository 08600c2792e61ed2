"""Configs of the parts of a method, such as an encoder or an objective, and their validation from plain data."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gpvae_core.errors import UserError, clipped, nearest

M = TypeVar("M", bound=BaseModel)
# Upper bounds of settings, so that a number that was meant otherwise is one line and not a machine without memory.
MOST = 1e30
"""Of scales, weights and learning rates."""
MOST_COUNT = 10**6
"""Of epochs, steps and sizes of a batch."""
MOST_SAMPLES = 10**4
"""Of samples, steps and chains that are computed for each image at once."""
MOST_POINTS = 10**8
"""Of points and images, where the data set has a smaller number of its own."""
MOST_UNITS, MOST_LAYERS = 2**16, 2**8
"""Of the units of a layer, and of layers; see also `RunConfig.build`."""


class PartConfig(BaseModel, ABC):
    """Settings of one part: only its own fields, each with a description and a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    """Name under which the part is registered and written in files."""
    method: ClassVar[str]
    """Name of the method (`gpvae train --method`) that is a plain VAE with this part; '' if there is none."""
    count: ClassVar[str] = ""
    """The field (or dotted key) that the number in 'name:number' sets, as the flows in iaf:4; '' if there is none."""
    counts: ClassVar[tuple[int, ...]] = ()
    """The numbers that the papers compare, which benches and dashboards offer."""
    wants: ClassVar[dict[str, Any]] = {}
    """Settings (dotted keys) that a run with this part has by default, such as a number of samples."""
    instead_of_conv: ClassVar[str] = ""
    """Kind of decoder that a run with this part has by default in place of a convolutional one; '' for no change."""


class Settings(BaseModel):
    """Settings that users construct themselves: bad ones are a UserError of one line, as `parse_model` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise UserError(_one_line(error, type(self))) from None


def parse_model(model: type[M], raw: Mapping[str, Any]) -> M:
    """Return a frozen config of the class `model` from plain data.

    Raises:
        UserError: a field is invalid; the message names it, what was wanted and what came.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise UserError(_one_line(error, model)) from None


def field_table(parts: Sequence[tuple[str, type[BaseModel]]]) -> list[dict[str, str]]:
    """Return a row (setting, default, meaning) for each described field of the models, its name behind their prefix."""
    rows: dict[str, dict[str, str]] = {}
    for prefix, model in parts:
        for name, field in model.model_fields.items():
            if field.description:
                key, default = f"{prefix}{name}", "" if field.is_required() else str(field.default)
                rows[key] = {"setting": key, "default": default, "meaning": field.description}
    return list(rows.values())


def _one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first of pydantic's errors as one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        close = nearest(where, model.model_fields)
        return f"unknown setting '{clipped(where)}'" + (f"; did you mean '{close}'?" if close else "")
    got = "" if first["type"] in ("missing", "value_error") else f", got {_short(first['input'])}"
    message = re.sub(r"\d{16,}", lambda digits: f"{float(digits[0]):g}", first["msg"].removeprefix("Value error, "))
    return (f"setting '{where}': " if where else "") + message.lower() + got


def _short(value: Any) -> str:
    try:
        return clipped(repr(value))
    except ValueError:  # Python does not convert a number of more than 4300 digits
        return f"a {type(value).__name__} of too many digits"
