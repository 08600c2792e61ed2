"""Hashes by which data, models and settings are recognised again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def hexdigest(parts: Iterable[str | bytes | memoryview], algorithm: str = "sha256") -> str:
    """Return the hash of the parts one after the other, text in UTF-8; they need not be in memory together."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()
