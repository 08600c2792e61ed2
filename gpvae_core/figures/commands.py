"""The commands that train the runs of a figure, as runs like one that is there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.run_config import RunConfig
from gpvae_core.sweep.config import flat
from gpvae_core.types import EventShape


def _has(config: RunConfig, key: str) -> bool:
    """Return whether a config has a setting, which its JSON may leave out at its default."""
    part, _, name = key.rpartition(".")
    return name in getattr(type(getattr(config, part, None)), "model_fields", {})


def train_command(
    config: RunConfig, event_shape: EventShape, out: Path, method: str = "", changes: Mapping[str, Any] | None = None
) -> str:
    """Return the command `gpvae train ...` for a run like one of this config.

    Args:
        out: folder of the new run.
        method: method of the new run; by default that of `config`.
        changes: settings of the new run by their dotted keys.
    """
    method = method or config.method
    default = make_config(method, DataConfig(name=config.data.name), event_shape)
    plain = flat(default.to_json())
    own = {key: value for key, value in flat(config.to_json()).items() if key in plain or _has(default, key)}
    if method != config.method:
        own = {key: value for key, value in own.items() if key not in ("inference.kind", "inference.points")}
    wanted = own | dict(changes or {})
    named = ("method", "data.name")
    parts = ["gpvae", "train", "--method", method, "--dataset", config.data.name]
    for key, value in wanted.items():
        if key not in named and (key in (changes or {}) or plain.get(key) != value):
            parts += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join([*parts, "--out", str(out)])
