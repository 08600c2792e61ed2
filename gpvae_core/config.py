"""The configuration of a run from a method, data and settings: defaults, presets, and what is typed over them."""

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
"""Settings of a paper by name. kim2021: section 8 and 'Experimental setup' of Kim & Pavlovic 2021 (its d is 10, 20 or
50; sigma_x learned, see NOTATION.md)."""


def default_net(event_shape: EventShape) -> NetConfig:
    """Return the networks of Tables 6-8 of Kim & Pavlovic 2021 for 28, 32 and 64 pixels a side, else a plain stack."""
    known = {28: ConvConfig(), 32: ConvConfig(hidden=512), 64: ConvConfig(hidden=512, layers=4)}
    _, height, width = event_shape
    if height != width or height not in known:
        return FullyConnectedConfig(hidden=128 if height * width <= 256 else 512)
    return known[height]


def take_data_config(name: str, settings: dict[str, Any], defaults: DataConfig | None = None) -> DataConfig:
    """Take the settings of the data out of `settings` and return them: they decide the shape that the rest depends on.

    Args:
        defaults: the data settings of a run whose decoder is kept; they count where it is of the same data set.

    Raises:
        UserError: a value out of range.
    """
    fields = set(DataConfig.model_fields) - {"name"}
    chosen = {key: settings.pop(key) for key in list(settings) if key.removeprefix("data.") in fields}
    known = defaults.model_dump() if defaults is not None and defaults.name == name else {"name": name}
    return parse_model(DataConfig, {**known, **{key.removeprefix("data."): v for key, v in chosen.items()}})


def make_config(
    method: str,
    data: DataConfig,
    event_shape: EventShape,
    overrides: Mapping[str, Any] | None = None,
    preset: str | None = None,
    decoder_of: RunConfig | None = None,
) -> RunConfig:
    """Return the defaults for the method, the data and their shape, over them a preset, over that `overrides`.

    Args:
        overrides: values by dotted keys, or by the last part of a key where only one setting has it.
        decoder_of: the run whose decoder and likelihood are to be kept frozen; its networks become the defaults.

    Raises:
        UserError: unknown method, preset or setting, a value out of range, or one that changes a frozen decoder.
    """
    raw = _method_defaults(get_method(method), event_shape, source_of(data).wants)
    raw["data"] = data.model_dump()
    if preset is not None:
        _merge(raw, _preset(preset))
    if decoder_of is not None:
        raw |= _frozen(decoder_of)
    kinds_first = sorted((overrides or {}).items(), key=lambda item: not item[0].endswith(".kind"))
    for key, value in kinds_first:
        set_setting(raw, key, value)
    config = _with_inference(parse_config(raw), raw, overrides or {})
    if decoder_of is not None:
        _check_frozen(config, decoder_of)
    return config


def _method_defaults(method: Method, event_shape: EventShape, data_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method has by default for these data, of this shape."""
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
    """Return the config with what its inference wants for its latent dimension, where nothing else was asked for."""
    for key, value in config.inference.settings_for(config.latent_dim).items():
        if key.split(".")[0] not in {given.split(".")[0] for given in overrides}:
            set_setting(raw, key, value)
    return parse_config(raw)


def _frozen(other: RunConfig) -> dict[str, Any]:
    """Return what a run on the frozen decoder of another takes over from it."""
    given = other.to_json()
    decoder = dict(given["decoder"] or given["net"])
    taken = {part: given[part] for part in ("latent_dim", "net", "prior", "likelihood") if part in given}
    return {**taken, "decoder": decoder, "freeze_decoder": True}


def _check_frozen(config: RunConfig, other: RunConfig) -> None:
    """Refuse settings that would change the decoder or the likelihood that are kept."""
    for part, wanted in (
        ("latent_dim", other.latent_dim),
        ("decoder", other.decoder or other.net),
        ("prior", other.prior),
        ("likelihood", other.likelihood),
    ):
        if getattr(config, part) != wanted:
            got = getattr(config, part)
            raise UserError(f"--decoder-from keeps the {part} of its run: wanted {wanted!r}, got {got!r}")


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
