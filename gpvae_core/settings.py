"""Settings by dotted key: parsing, setting and listing them, and the messages on unknown keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from json import JSONDecodeError
from typing import Any

from pydantic import BaseModel

from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError, clipped, nearest
from gpvae_core.parsing import parse_json
from gpvae_core.part import field_table
from gpvae_core.run_config import CHOSEN_PARTS, FLAGS, OMITTED_DEFAULTS, PARTS, RunConfig, TrainConfig


def parse_settings(items: list[str]) -> dict[str, Any]:
    """Parse ['key=value', ...] into {key: value}; a value that is not valid JSON is taken as text.

    Raises:
        UserError: an item has no '=' or no key, or its value is nested too deeply or has too many digits.
    """
    out: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise UserError(f"wanted --set key=value, got '{clipped(item)}'")
        try:
            out[key.strip()] = parse_json(text)
        except JSONDecodeError:
            out[key.strip()] = text
        except ValueError as error:
            raise UserError(f"wanted a value of '{clipped(key)}', got one that cannot be read: {error}") from None
    return out


def set_setting(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of `raw`, or a key's last part if it is unique. Raises UserError if there is no such setting."""
    if key in {f"{part}.kind" for part in CHOSEN_PARTS}:
        raw[key.removesuffix(".kind")] = {"kind": value}
        return
    matches = [path for path in _leaves(_defaults_of(raw)) if key in (path, path.rsplit(".", 1)[-1])]
    exact = [path for path in matches if path == key] or matches
    if len(exact) > 1:
        raise UserError(f"setting '{key}' is ambiguous: write one of {', '.join(exact)}")
    if not exact:
        raise UserError(_unknown_setting(key, raw))
    *parents, leaf = exact[0].split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value


def _unknown_setting(key: str, raw: Mapping[str, Any]) -> str:
    known = [path for path in _leaves(_defaults_of(raw)) if path != key]
    if key in FLAGS:
        return f"'{key}' is not a setting: use {FLAGS[key]}"
    if key in CHOSEN_PARTS:
        return f"'{key}' is not a setting: use --set {key}.kind=..., or one of {_under(key, known)}"
    elsewhere = [row["setting"] for row in settings_table() if key in (row["setting"], row["setting"].split(".")[-1])]
    if elsewhere:
        part = elsewhere[0].split(".")[0]
        default = OMITTED_DEFAULTS[part].kind if part in OMITTED_DEFAULTS else raw["net"]["kind"]
        kind = raw[part]["kind"] if part in raw else default
        return f"setting '{elsewhere[0]}' belongs to another {part}: this run's is '{kind}'"
    close = nearest(key, known) or nearest(key.rsplit(".", 1)[-1], [k.rsplit(".", 1)[-1] for k in known])
    others = f" (known: {', '.join(known)}; all: gpvae list settings)"
    return f"unknown setting '{clipped(key)}'" + (f"; did you mean '{close}'?" if close else others)


def _under(part: str, paths: Sequence[str]) -> str:
    return ", ".join(path for path in paths if path.startswith(f"{part}."))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of each value in a tree of mappings, leaving out the parts' kinds."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.")
        elif key != "kind":
            yield path


def _defaults_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of this run's parts with their defaults, as a tree."""

    def fields(model: type[BaseModel]) -> dict[str, Any]:
        return {name: field.default for name, field in model.model_fields.items()}

    out = {name: default for name, default in fields(RunConfig).items() if name != "method"}
    out["data"], out["train"] = fields(DataConfig), fields(TrainConfig)
    for part, registry in PARTS.items():
        if part in raw:
            kind = raw[part]["kind"]
            out[part] = {"kind": kind, **fields(registry.get(kind))}
        else:
            del out[part]
    del out["data"]["name"], out["freeze_decoder"]
    return out


def settings_table() -> list[dict[str, str]]:
    """Return the dotted key, default and meaning of every setting of every part, for `gpvae list settings`."""
    parts: list[tuple[str, type[BaseModel]]] = [("", RunConfig), ("data.", DataConfig), ("train.", TrainConfig)]
    for part, registry in PARTS.items():
        parts += [(f"{part}.", registry.get(name)) for name in registry.summaries()]
    return field_table(parts)
