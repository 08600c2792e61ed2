"""Runs found in folders: what is known of each before it is loaded, and a name that no other has."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpvae_core.errors import UserError, shown

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.run_summaries import RunSummary

DEFAULT_ROOT = Path("runs")


@dataclass(frozen=True)
class ListedRun:
    """A run that was found, and which pages can show it."""

    summary: RunSummary
    on_images: bool
    ready: bool
    """Whether it has weights; a method that makes its weights at the end of training has none before."""


def listed(summary: RunSummary) -> ListedRun:
    from gpvae_core.data.base import DATASETS, parse_name
    from gpvae_core.run_files import snapshot_folder

    on_images = DATASETS.get(parse_name(summary.dataset)[0]).is_images
    return ListedRun(summary, on_images, snapshot_folder(summary.path / "best") is not None)


def written(path: Path) -> float:
    """Return the time at which a file was last written, 0 if it is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def weights_of(path: Path) -> Hashable:
    """Return a value that changes whenever a run's weights are written, None while there are none."""
    from gpvae_core.run_files import snapshot_folder

    try:
        folder = snapshot_folder(path / "best")
        found = None if folder is None else (folder / "state.json").stat()
    except OSError:  # the folder is being replaced
        return None
    return found and (found.st_mtime_ns, found.st_ino)


def runs_at(place: Path) -> tuple[list[RunSummary], list[str]]:
    """Return the runs of a run folder or a folder of runs, and one line for each that is damaged.

    Raises:
        UserError: the place was named by the user and is neither, or is a damaged run.
    """
    if place == DEFAULT_ROOT and not place.is_dir():
        return [], []
    from gpvae_core.run_files import existing_run
    from gpvae_core.run_summaries import list_runs, summarize

    if (existing_run(place) / "config.json").is_file():
        return [summarize(place)], []
    return list_runs(place)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name of each path that no other has: its last part, with as many of those before it as needed."""
    parts = [[shown(part) for part in path.absolute().parts] for path in paths]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(whole[-n:]) for whole, n in zip(parts, depth, strict=True)]
        if len(set(names)) == len(names):
            return names
        depth = [n + (names.count(name) > 1) for name, n in zip(names, depth, strict=True)]


def check_place(place: Path) -> None:
    """Raise UserError for a folder with files but no runs: the default pair would be trained among them."""
    runs, damaged = runs_at(place)
    if place == DEFAULT_ROOT or not any(not path.name.startswith(".") for path in place.iterdir()):
        return
    if not runs:
        raise UserError(damaged[0] if damaged else f"'{place}' holds no runs: wanted a run, or a folder of runs")
