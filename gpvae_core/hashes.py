"""Hashes that identify data, models and settings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def hexdigest(parts: Iterable[str | bytes | memoryview], algorithm: str = "sha256") -> str:
    """Return the hash, in hexadecimal, of the concatenated parts (text in UTF-8), which are read one by one."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()
