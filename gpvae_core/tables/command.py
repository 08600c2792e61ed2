"""The command that computes the missing runs of a table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpvae_core.tables.build import DECODER_SETTINGS, PRESET
from gpvae_core.tables.paper import NATS, PaperTable

SCORE = {"k": 100, "seed": 0}
"""Settings of the score of the paper's tables, the only ones that `gpvae table` uses."""


def table_command(
    table: PaperTable,
    dims: Sequence[int],
    methods: Sequence[str],
    content: Mapping[str, Any] | None = None,
    runs: int | None = None,
    restarts: int | None = None,
    out: Path | None = None,
) -> str:
    """Return the command `gpvae table N ...` for some of the table's cells.

    Args:
        dims, methods: selected cells; empty for all.
        content: settings (`Setup.content`) of the setup of the cells; None for the paper's own.
        runs, restarts: requested numbers for each cell; None for the paper's.
        out: the sweep's folder; None for the default.
    """
    if table.unit != NATS:
        return "gpvae bench inference"
    setup = content or {"epochs": None, "set": {}}
    options: dict[str, Any] = {
        "--dims": ",".join(map(str, dims)),
        "--methods": ",".join(methods),
        "--epochs": setup["epochs"],
        "--runs": None if runs == table.runs else runs,
        "--restarts": None if restarts == table.restarts else restarts,
        "--out": out,
    }
    parts = ["gpvae", "table", str(table.number)]
    for name, value in options.items():
        parts += [name, str(value)] if value else []
    for key, value in without_decoder(setup["set"]).items():
        parts += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(parts)


def sweep_command(name: str, out: Path) -> str:
    """Return the command `gpvae sweep FILE`, for results that `gpvae table` cannot make; FILE is named by the sweep."""
    return shlex.join(["gpvae", "sweep", f"{name}.toml", "--out", str(out)])


def is_table_setup(content: Mapping[str, Any]) -> bool:
    """Return whether `gpvae table` can make results of this setup."""
    return content["preset"] == PRESET and not content["method_settings"] and content["evaluate"] == SCORE


def without_decoder(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those by which a table selects a kind of decoder."""
    of_decoders = [pair for part in DECODER_SETTINGS.values() for pair in part.items()]
    return {key: value for key, value in settings.items() if (key, value) not in of_decoders}
