"""Finding results files, and detecting their changes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpvae_core.files import real_path, with_name
from gpvae_core.sweep.results import FILE

DEFAULT_PLACES = (Path("sweeps"), Path("tables"), Path("runs"))
BENCH = "inference*.json"
"""Name pattern of files with the output of `gpvae bench inference --json`."""
DEPTH = 3
"""Depth to which folders are searched."""
Signature = tuple[tuple[int, int], ...]


class ResultFiles:
    """Results files in and below some folders; a place may also be a results file itself."""

    def __init__(self, places: Sequence[Path] = ()) -> None:
        named = [with_name(place) for place in places]
        sweeps = [place.parent for place in named if (place.parent / FILE).is_file()]  # of a sweep's own runs
        self._places = tuple(dict.fromkeys((*named, *sweeps, *DEFAULT_PLACES)))

    def found(self) -> dict[str, Path]:
        """Return the results files by name, the last modified first."""
        paths = [(path, place) for place in self._places for path in _below(place, DEPTH)]
        files = {real_path(path): (path, _name(path, place)) for path, place in paths}
        newest = sorted(files.values(), key=lambda file: max(signature(file[0]), default=(0, 0)), reverse=True)
        names = [name for _, name in newest]
        return {name if names.count(name) == 1 else str(path): path for path, name in newest}

    def bench(self) -> Path | None:
        """Return the newest file of inference times directly in a place; None if there is none."""
        files = [path for place in self._places if place.is_dir() for path in place.glob(BENCH)]
        return max(files, key=lambda path: max(signature(path), default=(0, 0)), default=None)


def _name(path: Path, place: Path) -> str:
    """Return the displayed name, which begins with the place: 'sweeps/digits'."""
    shown = path.parent if path.name == FILE else path
    return str(shown.relative_to(place.parent)) if shown.is_relative_to(place) else str(shown)


def _below(place: Path, depth: int) -> Iterator[Path]:
    """Yield the results file of a folder, or those of its subfolders; run folders are not searched."""
    if place.is_file():
        yield place
    elif (place / FILE).is_file():
        yield place / FILE
    elif depth and not (place / "config.json").exists():
        for path in _folders(place):
            yield from _below(path, depth - 1)


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:  # the folder does not exist or is not readable
        return []


def signature(path: Path) -> Signature:
    """Return the modification times in ns and the sizes of the file and its write-ahead log, which detect a change."""
    # NOTE: SQLite appends changes to the log first, so that the file alone would not show them. Reading creates an
    # empty log, which is therefore ignored.
    out = []
    for part in (path, path.with_name(f"{path.name}-wal")):
        try:
            stat = part.stat()
        except OSError:
            continue
        if stat.st_size or part == path:
            out.append((stat.st_mtime_ns, stat.st_size))
    return tuple(out)
