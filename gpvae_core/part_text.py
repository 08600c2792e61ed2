"""The one text that stands for a part with its settings: 'svi:8,step_size=0.05', 'renyi:0.5'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gpvae_core.errors import UserError
from gpvae_core.part import PartConfig, parse_model
from gpvae_core.registry import Registry

P = TypeVar("P", bound=PartConfig)


def parse_part(text: str, registry: Registry[type[P]], kind_of: Callable[[str], str] = str) -> P:
    """Return the config of 'kind', 'kind:number' or 'kind:number,setting=value'.

    Args:
        kind_of: the kind of the part for the name that the text begins with.

    Raises:
        UserError: the part or a setting is unknown (the message suggests the nearest name), or a value is invalid.
    """
    head, *settings = text.split(",")
    name, colon, number = head.partition(":")
    kind = kind_of(name)
    config = registry.get(kind)
    fields: dict[str, Any] = {}
    if colon:
        if not config.count:
            raise UserError(f"{registry.what} '{kind}' takes no number, got '{head}'")
        fields[config.count] = number
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"wanted '{registry.what}:number,setting=value', got '{text}'")
        fields[key.strip()] = value.strip()
    return parse_model(config, fields)


def part_text(config: PartConfig) -> str:
    """Return the one text that stands for a part: 'svi:8' for 'svi' and 'svi:8', and 'svi:8,step_size=0.05'.

    The number is always there, other settings where they differ from their defaults; `parse_part` reads it back. A part
    among the settings may have one of its own, its number.
    """
    kind = type(config)
    default = kind()
    values = {key: getattr(config, key) for key in kind.model_fields}
    changed = {key: value for key, value in values.items() if key != kind.count and value != getattr(default, key)}
    settings = [
        f"{key}={part_text(value) if isinstance(value, PartConfig) else value}" for key, value in changed.items()
    ]
    number = f":{values[kind.count]}" if kind.count else ""
    return ",".join([f"{kind.method or kind.kind}{number}", *settings])


def part_or_text(registry: Registry[Any]) -> Callable[[Any], Any]:
    """Return the function that turns a text into its part and leaves a part as it is."""
    return lambda value: parse_part(value, registry) if isinstance(value, str) else value
