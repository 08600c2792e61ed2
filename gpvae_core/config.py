"""Building a run's configuration from a method, data and settings: defaults, then presets, then overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpvae_core.data.base import DataConfig, source_of
from gpvae_core.errors import UserError, unknown
from gpvae_core.methods import Method, get_method
from gpvae_core.nets.base import NetConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.part import parse_model
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.settings import set_setting
from gpvae_core.types import EventShape

PRESETS: dict[str, dict[str, Any]] = {
    "kim2021": {
        "latent_dim": 10,
        "train": {"epochs": 2000, "batch_size": 128, "lr": 5e-4, "patience": 0},
        "likelihood": {"kind": "gaussian", "learn_sigma_x": True},
        "data": {"validation_fraction": 0.1},
    },
}
"""Settings of a paper, by name. kim2021: section 8 and 'Experimental setup' of Kim & Pavlovic 2021 (they use d = 10, 20
and 50; sigma_x is learned, see NOTATION.md)."""


def default_net(event_shape: EventShape) -> NetConfig:
    """Return the default networks for images of shape (C, H, W).

    They are those of Tables 6-8 of Kim & Pavlovic 2021 for square images of 28, 32 and 64 pixels a side, and fully
    connected ones otherwise.
    """
    convolutional = {28: ConvConfig(), 32: ConvConfig(hidden=512), 64: ConvConfig(hidden=512, layers=4)}
    _, height, width = event_shape
    if height != width or height not in convolutional:
        return FullyConnectedConfig(hidden=128 if height * width <= 256 else 512)
    return convolutional[height]


def take_data_config(name: str, settings: dict[str, Any], defaults: DataConfig | None = None) -> DataConfig:
    """Remove the data's settings from `settings` and return them as a config: all other defaults depend on the data.

    Args:
        defaults: the data settings of a run whose decoder is kept; they apply if its data set is the same.

    Raises:
        UserError: a value is out of range.
    """
    fields = set(DataConfig.model_fields) - {"name"}
    given = {key: settings.pop(key) for key in list(settings) if key.removeprefix("data.") in fields}
    base = defaults.model_dump() if defaults is not None and defaults.name == name else {"name": name}
    return parse_model(DataConfig, {**base, **{key.removeprefix("data."): v for key, v in given.items()}})


def make_config(
    method: str,
    data: DataConfig,
    event_shape: EventShape,
    overrides: Mapping[str, Any] | None = None,
    preset: str | None = None,
    decoder_of: RunConfig | None = None,
) -> RunConfig:
    """Return the config of a run: the method's defaults for these data, updated by a preset, then by `overrides`.

    Args:
        overrides: values by dotted key, or by the last part of a key if only one setting ends in it.
        decoder_of: config of the run whose decoder and likelihood are kept frozen; its networks become the defaults.

    Raises:
        UserError: the method, preset or a setting is unknown, a value is out of range or would change a frozen
            decoder.
    """
    source = source_of(data)
    raw = _method_defaults(get_method(method), event_shape, source.wants)
    raw["data"] = data.model_dump()
    if preset is not None:
        _merge(raw, _preset(preset))
    if decoder_of is not None:
        raw |= _frozen(decoder_of)
    # Set kinds first: they determine which other settings exist.
    kinds_first = sorted((overrides or {}).items(), key=lambda item: not item[0].endswith(".kind"))
    for key, value in kinds_first:
        set_setting(raw, key, value)
    if raw.get("prior", {}).get("kind") == "gp":
        raw["prior"] = {**source.process, **raw["prior"]}
    config = _with_inference(parse_config(raw), raw, overrides or {})
    if decoder_of is not None:
        _check_frozen(config, decoder_of)
    return config


def _method_defaults(method: Method, event_shape: EventShape, data_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's default settings, as plain data, for data of this shape and with these preferred settings."""
    net = default_net(event_shape)
    raw: dict[str, Any] = {
        "method": method.name,
        "data": {},
        "net": _with_kind(net),
        "likelihood": {"kind": "gaussian"},
        "train": {},
        **{part: {"kind": kind} for part, kind in method.kinds().items()},
    }
    if method.instead_of_conv and isinstance(net, ConvConfig):
        raw["decoder"] = {"kind": method.instead_of_conv, **net.model_dump()}
    for key, value in (*data_settings.items(), *method.settings):
        set_setting(raw, key, value)
    return raw


def _with_inference(config: RunConfig, raw: dict[str, Any], overrides: Mapping[str, Any]) -> RunConfig:
    """Return the config with the settings that its inference prefers at its latent dimension, unless overridden."""
    for key, value in config.inference.settings_for(config.latent_dim).items():
        if key.split(".")[0] not in {override.split(".")[0] for override in overrides}:
            set_setting(raw, key, value)
    return parse_config(raw)


def _frozen(other: RunConfig) -> dict[str, Any]:
    """Return the settings that a run on the frozen decoder of `other` shares with it."""
    raw: dict[str, Any] = other.to_json()
    shared = {part: raw[part] for part in ("latent_dim", "net", "prior", "likelihood") if part in raw}
    return {**shared, "decoder": dict(raw["decoder"] or raw["net"]), "freeze_decoder": True}


def _check_frozen(config: RunConfig, other: RunConfig) -> None:
    """Raise UserError if a setting would change the frozen decoder or likelihood."""
    for part, expected in (
        ("latent_dim", other.latent_dim),
        ("decoder", other.decoder or other.net),
        ("prior", other.prior),
        ("likelihood", other.likelihood),
    ):
        value = getattr(config, part)
        if value != expected:
            raise UserError(f"--decoder-from keeps the {part} of its run: wanted {expected!r}, got {value!r}")


def _preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def _with_kind(part: NetConfig) -> dict[str, Any]:
    return {"kind": part.kind, **part.model_dump()}


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
