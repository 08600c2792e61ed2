"""Lists that are kept on disk until the program changes, because computing them imports torch, which takes seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pooch

from gpvae_core.files import write_cached
from gpvae_core.hashes import hexdigest
from gpvae_core.parsing import parse_json
from gpvae_core.reading import read_text

SOURCES = Path(__file__).parents[1]
Rows = list[dict[str, Any]]


def state_of_sources() -> str:
    """Return a hash of the Python and of the path, size and time of change of every source file."""
    files = sorted(SOURCES.rglob("*.py"))
    stats = [(path, path.stat()) for path in files]
    return hexdigest([sys.version, *(f"{path} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in stats)])


def stored(name: str, compute: Callable[[], Rows]) -> Rows:
    """Return the list called `name` from the user's cache folder, or compute and store it if the program has changed.

    A file that is damaged is computed again; on a full or read-only disk nothing is stored.
    """
    path = Path(pooch.os_cache("gpvae")) / "lists" / f"{name}.json"
    state = state_of_sources()
    try:
        content = parse_json(read_text(path))
        if content["state"] == state:
            return list(content["rows"])
    except (OSError, ValueError, LookupError, TypeError):
        pass
    rows = compute()
    write_cached(path, lambda file: file.write(json.dumps({"state": state, "rows": rows}).encode()))
    return rows
