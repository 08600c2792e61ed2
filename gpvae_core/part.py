"""The config of a part of a method, such as an encoder or an objective, and configs from plain data."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gpvae_core.errors import UserError, nearest

M = TypeVar("M", bound=BaseModel)


class PartConfig(BaseModel, ABC):
    """Settings of one part: only its own fields, each described, with defaults that work."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    """The name it is registered and written under."""
    method: ClassVar[str]
    """The name under which a plain model with this part is offered (`gpvae train --method`); '' where it is not."""
    count: ClassVar[str] = ""
    """The field (or dotted key) that the number in 'name:number' sets, as the flows in iaf:4; '' for none."""
    counts: ClassVar[tuple[int, ...]] = ()
    """The numbers that the papers compare, which benches and dashboards offer; empty where there is none."""
    wants: ClassVar[dict[str, Any]] = {}
    """Settings (dotted keys) that a run with this part has by default, such as a number of samples."""
    instead_of_conv: ClassVar[str] = ""
    """The kind of decoder that a run with this part has by default where it would be convolutional; '' for that one."""


def parse_model(model: type[M], raw: Mapping[str, Any]) -> M:
    """A frozen config of any kind from plain data. Raises UserError naming the field, what was wanted and what came."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise UserError(_one_line(error, model)) from None


def _one_line(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        close = nearest(where, model.model_fields)
        return f"unknown setting '{where}'" + (f"; did you mean '{close}'?" if close else "")
    got = "" if first["type"] in ("missing", "value_error") else f", got {_short(first['input'])}"
    return (f"setting '{where}': " if where else "") + first["msg"].removeprefix("Value error, ").lower() + got


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
