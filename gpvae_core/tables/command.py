"""The command that computes what a table lacks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpvae_core.tables.build import DECODER_SETTINGS, PRESET
from gpvae_core.tables.paper import NATS, PaperTable

SCORE = {"k": 100, "seed": 0}
"""How the paper's tables are scored; `gpvae table` knows no other way."""


def table_command(
    table: PaperTable,
    dims: Sequence[int],
    methods: Sequence[str],
    content: Mapping[str, Any] | None = None,
    runs: int | None = None,
    restarts: int | None = None,
    out: Path | None = None,
) -> str:
    """`gpvae table N ...` for some of the table's cells.

    Args:
        dims, methods: which cells; empty for all.
        content: of the setup (`Setup.content`) that the cells are to join; None for the paper's own.
        runs, restarts: wanted for each cell; None for the paper's.
        out: the sweep's folder; None for the default.
    """
    if table.unit != NATS:
        return "gpvae bench inference"
    given = content or {"epochs": None, "set": {}}
    options: dict[str, Any] = {
        "--dims": ",".join(map(str, dims)),
        "--methods": ",".join(methods),
        "--epochs": given["epochs"],
        "--runs": None if runs == table.runs else runs,
        "--restarts": None if restarts == table.restarts else restarts,
        "--out": out,
    }
    parts = ["gpvae", "table", str(table.number)]
    for name, value in options.items():
        parts += [name, str(value)] if value else []
    for key, value in without_decoder(given["set"]).items():
        parts += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(parts)


def sweep_command(name: str, out: Path) -> str:
    """`gpvae sweep FILE` for results that `gpvae table` does not make; the file's name is the sweep's by default."""
    return shlex.join(["gpvae", "sweep", f"{name}.toml", "--out", str(out)])


def of_table(content: Mapping[str, Any]) -> bool:
    """True where `gpvae table` can make results of this setup."""
    return content["preset"] == PRESET and not content["method_settings"] and content["evaluate"] == SCORE


def without_decoder(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those that a table itself makes for a kind of decoder."""
    made = [pair for part in DECODER_SETTINGS.values() for pair in part.items()]
    return {key: value for key, value in settings.items() if (key, value) not in made}
